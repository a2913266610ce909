"""What processors tell of themselves, for those who look: a hash each in Redis, told anew every second.

A heartbeat expires by itself, so a processor that died, hangs as a whole or cannot reach Redis is ``gone`` soon after.
What it left pending is known to Redis, and is claimed by others.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, cast

import redis
import redis.asyncio

from shared.redis_keys import ShardKeys
from shared.stream_status import ConsumerStatus, read_stream_status

HEARTBEAT_SECONDS: Final = 1.0
HEARTBEAT_KEPT_SECONDS: Final = 10
_PAGE: Final = 1000


class ProcessorState(StrEnum):
    """What a processor is at."""

    RUNNING = "running"
    WAITING_FOR_POSTGRESQL = "waiting for PostgreSQL"
    WAITING_FOR_REDIS = "waiting for Redis"
    HALTED = "halted"
    """A person has to act; ``held`` says how."""
    PAUSED = "paused"
    """An operator said so; `weir processors resume` ends it."""
    GONE = "gone"
    """It is a consumer still, and tells nothing."""


@dataclass(frozen=True, slots=True)
class ProcessorStatus:
    """One processor. ``rate`` is events stored a second; ``pending`` is in entries, of all streams."""

    name: str
    host: str | None
    state: str
    rate: float | None
    pending: int
    idle_seconds: float | None
    """Since it last asked one of its streams for anything; None when it is no consumer."""
    last_error: str | None
    held: str | None
    """What it stands still for, and since when; None when it does not."""


def read_processor_status(client: "redis.Redis", shards: int) -> list[ProcessorStatus]:
    """All processors, by name. Raises redis-py's errors."""
    consumers = [one for stream in read_stream_status(client, shards) for one in stream.consumers]
    return statuses(read_heartbeats(client), consumers)


def read_heartbeats(client: "redis.Redis") -> dict[str, dict[str, str]]:
    """What the living processors told last, by name. Raises redis-py's errors."""
    prefix = ShardKeys(0).processor("")
    beats = {}
    for key in client.scan_iter(match=_literally(prefix) + "*", count=_PAGE):
        beat = cast(dict[bytes, bytes], client.hgetall(key))
        if beat:  # else it expired just now
            beats[key.decode().removeprefix(prefix)] = {name.decode(): text.decode() for name, text in beat.items()}
    return beats


async def find_processors_async(client: "redis.asyncio.Redis") -> set[str]:
    """The names of all that tell something of themselves. Raises redis-py's errors."""
    prefix = ShardKeys(0).processor("")
    return {
        key.decode().removeprefix(prefix) async for key in client.scan_iter(match=_literally(prefix) + "*", count=_PAGE)
    }


async def read_heartbeats_async(client: "redis.asyncio.Redis", names: Collection[str]) -> dict[str, dict[str, str]]:
    """What these processors tell, those left out that tell nothing; one round trip. Raises redis-py's errors."""
    pipeline: Any = client.pipeline(transaction=False)
    for name in names:
        pipeline.hgetall(ShardKeys(0).processor(name))
    beats = zip(names, await pipeline.execute() if names else [], strict=True)
    return {name: {field.decode(): text.decode() for field, text in beat.items()} for name, beat in beats if beat}


def statuses(beats: Mapping[str, Mapping[str, str]], consumers: Iterable[ConsumerStatus]) -> list[ProcessorStatus]:
    """Heartbeats by name, and what Redis knows of consumers, as one list. Pure."""
    own: dict[str, list[ConsumerStatus]] = {name: [] for name in beats}
    for consumer in consumers:
        own.setdefault(consumer.name, []).append(consumer)
    return [_status(name, beats.get(name, {}), found) for name, found in sorted(own.items())]


def _status(name: str, beat: Mapping[str, str], consumers: list[ConsumerStatus]) -> ProcessorStatus:
    return ProcessorStatus(
        name,
        beat.get("host"),
        beat.get("state", ProcessorState.GONE),
        float(beat["rate"]) if "rate" in beat else None,
        sum(consumer.pending for consumer in consumers),
        min((consumer.idle_seconds for consumer in consumers), default=None),
        beat.get("last_error") or None,
        beat.get("held") or None,
    )


def _literally(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "*?[]{}\\^" else letter for letter in text)
