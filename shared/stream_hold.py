"""Holds: what makes all processors of a stream stand still until a person resumes it, whatever is started meanwhile.

A hold is a hash in Redis, one for each stream of each shard, and does not expire. The first one stays: who holds a
stream that is held changes nothing. ``resumes`` counts what ``resume`` was asked for: a processor that halted by
itself, for a reason of its own, tries again when it changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, cast

import redis

from shared.redis_functions import RedisFunction
from shared.redis_keys import ShardKeys, StreamKeys


class HoldKind(StrEnum):
    """Whose doing it is."""

    PAUSED = "paused"
    """An operator's."""
    HALTED = "halted"
    """A processor's, that saw too many events fail."""


@dataclass(frozen=True, slots=True)
class Hold:
    """One stream that is held."""

    stream: str
    shard: int
    kind: HoldKind
    by: str
    reason: str
    since: datetime

    @property
    def since_text(self) -> str:
        """In UTC, to the second."""
        return f"{self.since:%Y-%m-%dT%H:%M:%SZ}"

    @property
    def sentence(self) -> str:
        """All of it for a person, in one line."""
        because = f": {self.reason}" if self.reason else ""
        return (
            f"stream {self.stream} of shard {self.shard} is {self.kind} by {self.by} since {self.since_text}{because}"
        )


class StreamHolds:
    """Holds the streams and lets them go. Works in a full Redis. Every call raises redis-py's errors."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client
        self._hold = RedisFunction("shared", "hold_stream", when_full=True)
        self._resume = RedisFunction("shared", "resume_stream", when_full=True)

    def hold(self, keys: StreamKeys, kind: HoldKind, by: str, reason: str) -> bool:
        """Hold a stream; whether it was free."""
        return bool(self._hold.call(self._redis, [keys.hold], kind.value, by, reason))

    def resume(self, keys: StreamKeys) -> Hold | None:
        """Let a stream go on; the hold that was there."""
        reply = iter(self._resume.call(self._redis, [keys.hold]))
        return _hold(keys, dict(zip(reply, reply, strict=True)))

    def read(self, keys: StreamKeys) -> tuple[Hold | None, int]:
        """A stream's hold, and how often it was resumed in this life of Redis."""
        (fields,) = _read(self._redis, [keys])
        return _hold(keys, fields), int(fields.get(b"resumes", 0))


def read_holds(client: "redis.Redis", shards: int) -> list[Hold]:
    """All streams that are held, in one round trip. Raises redis-py's errors."""
    streams = [keys for shard in range(shards) for keys in ShardKeys(shard).streams]
    holds = (_hold(keys, fields) for keys, fields in zip(streams, _read(client, streams), strict=True))
    return [hold for hold in holds if hold is not None]


def _read(client: "redis.Redis", streams: Sequence[StreamKeys]) -> list[dict[bytes, bytes]]:
    with client.pipeline(transaction=False) as pipeline:
        for keys in streams:
            pipeline.hgetall(keys.hold)
        return cast(list[dict[bytes, bytes]], pipeline.execute())


def _hold(keys: StreamKeys, fields: Mapping[bytes, bytes]) -> Hold | None:
    if b"kind" not in fields:
        return None
    text: dict[str, Any] = {name.decode(): value.decode("utf-8", "replace") for name, value in fields.items()}
    since = datetime.fromtimestamp(int(text["since_ms"]) / 1000, UTC)
    return Hold(keys.name, keys.shard, HoldKind(text["kind"]), text["by"], text["reason"], since)
