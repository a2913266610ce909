"""What the collector reads from Redis once a second: streams, processors, and how many events were accepted."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio

from analytics_api.live.growth import MINUTE_SECONDS
from shared.accepted_counts import account_field
from shared.processor_status import ProcessorStatus, find_processors_async, read_heartbeats_async, statuses
from shared.redis_keys import ShardKeys, shard_of
from shared.stream_status import StreamStatus, read_stream_status_async

_MINUTES: Final = (-1, 0, 1)
"""Of receipt, from this one on: what a gateway counted last, and one whose clock is ahead."""
_SEARCH_SECONDS: Final = 10.0
"""Between two looks for processors that are no consumers any more; the others are found by the streams."""


@dataclass(frozen=True, slots=True)
class RedisReading:
    """One look, for the views of these clients. ``accepted`` is by minute; of all together, without."""

    at: float
    clients: frozenset[str | None]
    start_minute: int
    streams: list[StreamStatus]
    processors: list[ProcessorStatus]
    accepted: dict[str | None, dict[tuple[int, str], int]]


class RedisReader:
    """Reads with the clients that are asked for at the moment. ``client`` is its owner's."""

    def __init__(self, client: "redis.asyncio.Redis", shards: int) -> None:
        self._redis = client
        self._shards = shards
        self._names: set[str] = set()
        self._searched = float("-inf")

    async def read(self, clients: Collection[str | None]) -> RedisReading:
        """Five round trips and two a shard, whatever the number of viewers. Raises redis-py's errors."""
        minute = int(time.time()) // MINUTE_SECONDS
        accepted = await self._accepted(minute, clients)
        at = time.monotonic()
        streams = await read_stream_status_async(self._redis, self._shards)
        consumers = [one for stream in streams for one in stream.consumers]
        if at >= self._searched + _SEARCH_SECONDS:
            self._names, self._searched = await find_processors_async(self._redis), at
        names = self._names | {consumer.name for consumer in consumers}
        beats = await read_heartbeats_async(self._redis, names)
        return RedisReading(at, frozenset(clients), minute + _MINUTES[0], streams, statuses(beats, consumers), accepted)

    async def _accepted(
        self, minute: int, clients: Collection[str | None]
    ) -> dict[str | None, dict[tuple[int, str], int]]:
        minutes = [minute + step for step in _MINUTES]
        named = [client_id for client_id in clients if client_id is not None]
        pipeline: Any = self._redis.pipeline(transaction=False)
        for shard in range(self._shards):
            pipeline.hget(ShardKeys(shard).events.totals, "added")
        for client_id in named:
            fields = [account_field(each * MINUTE_SECONDS * 1_000_000, client_id) for each in minutes]
            pipeline.hmget(ShardKeys(shard_of(client_id, self._shards)).accepted, fields)
        replies = await pipeline.execute()
        added, counts = replies[: self._shards], replies[self._shards :]
        found: dict[str | None, dict[tuple[int, str], int]] = {
            client_id: {(each, "accepted"): int(count) for each, count in zip(minutes, row, strict=True) if count}
            for client_id, row in zip(named, counts, strict=True)
        }
        # Events ever put on the streams: counted in one number, so in one minute, which is always the newest.
        found[None] = {(0, "accepted"): sum(int(count or 0) for count in added)}
        return found
