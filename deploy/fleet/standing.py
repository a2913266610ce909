"""What `weir up` says of processors that stand still: all of it once, and a mark in every line until they go on."""

import redis

from deploy.cli.command_name import command_name
from shared.processor_status import ProcessorState, read_heartbeats
from shared.stream_hold import HoldKind, read_holds


class Standing:
    """What stood still when it was last looked at. ``place`` are the words that lead a command to these servers."""

    def __init__(self, shards: int, place: str = "") -> None:
        self._shards = shards
        self._place = place
        self._told: set[str] = set()

    def look(self, client: redis.Redis) -> tuple[str, list[str]]:
        """A mark for the line, empty while all run, and sentences not told before. Raises redis.RedisError."""
        holds = read_holds(client, self._shards)
        beats = read_heartbeats(client).items()
        sentences = {hold.sentence for hold in holds} | {
            f"{name}: {beat.get('held')}"
            for name, beat in beats
            if beat.get("state") == ProcessorState.HALTED and not any(hold.kind is HoldKind.HALTED for hold in holds)
        }
        news, self._told = sorted(sentences - self._told), sentences
        if not sentences:
            return "", news
        is_paused = bool(holds) and len(sentences) == len(holds) and all(one.kind is HoldKind.PAUSED for one in holds)
        return f"   {'PAUSED' if is_paused else 'HALTED'}: {command_name()} processors resume{self._place}", news
