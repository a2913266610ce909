"""What others have taken from a stream, and who is gone for good: looked at now and then, by every processor."""

from collections.abc import Iterable
from typing import Final, cast

import redis

from shared.redis_functions import RedisFunction
from shared.redis_keys import GROUP, StreamKeys

GONE_SECONDS: Final = 3600.0
"""Idle for longer, a consumer is that of a process that ended: one that lives asks every second."""


class Losses:
    """Of one stream. Each call may run in several processors at once, and raises redis.RedisError.

    An entry that was trimmed while a processor had it in hand for long counts as lost too, though it is stored.
    """

    def __init__(self, client: redis.Redis, keys: StreamKeys, consumer: str) -> None:
        self._redis = client
        self._keys = keys
        self._consumer = consumer
        self._take_lost = RedisFunction("stream_processor", "take_lost", when_full=True)
        self._write_off = RedisFunction("stream_processor", "write_off", when_full=True)
        self._leave = RedisFunction("stream_processor", "leave", when_full=True)

    def take_lost(self, entry_ids: Iterable[str]) -> list[str]:
        """Of pending entries, take those off the list that are no longer in the stream; each is told of once."""
        ids = list(entry_ids)
        if not ids:
            return []
        found = self._take_lost.call(self._redis, [self._keys.stream], GROUP, self._consumer, *ids)
        return [entry_id.decode() for entry_id in found]

    def write_off(self) -> int:
        """Count as settled what can no longer be; how many events. Only an empty stream can tell: it may be later."""
        return int(self._write_off.call(self._redis, [self._keys.stream, self._keys.totals], GROUP))

    def remove_gone(self, idle_seconds: float = GONE_SECONDS) -> list[str]:
        """Remove the consumers that have been idle for so long and have nothing pending; their names."""
        idle_ms = int(idle_seconds * 1000)
        names = [
            cast(bytes, consumer["name"]).decode()
            for consumer in self._redis.xinfo_consumers(self._keys.stream, GROUP)
            if consumer["idle"] >= idle_ms and consumer["pending"] == 0
        ]
        return [name for name in names if self._leave.call(self._redis, [self._keys.stream], GROUP, name, idle_ms)]
