"""What Redis and PostgreSQL tell of the whole system, set as gauges when Prometheus asks."""

import asyncio
import time
from typing import Any, Final

import psycopg
import redis.asyncio
from psycopg_pool import AsyncConnectionPool
from redis.exceptions import RedisError

from analytics_api.metrics import AnalyticsMetrics
from analytics_api.replica import Replica, read_replica
from shared.deadline import within
from shared.processor_status import ProcessorState, read_heartbeats_async
from shared.reconcile_note import read_reconcile_note
from shared.sql_files import load_sql
from shared.stream_status import StreamStatus, read_stream_status_async

_TIMEOUT_SECONDS: Final = 1.5
_FRESH_SECONDS: Final = 5.0
"""PostgreSQL is asked once in so long, however many ask: ``/metrics`` needs no key."""


class StoreFacts:
    """Looks at both servers, each look under a deadline; never raises. Used from one event loop."""

    def __init__(
        self,
        pool: AsyncConnectionPool[Any],
        client: "redis.asyncio.Redis",
        shards: int,
        metrics: AnalyticsMetrics,
    ) -> None:
        self._pool = pool
        self._client = client
        self._shards = shards
        self._metrics = metrics
        self._asked_at = float("-inf")

    async def show(self) -> None:
        """Set all gauges that are read from a server."""
        await asyncio.gather(self._show_redis(), self._show_postgresql())

    async def _show_redis(self) -> None:
        metrics = self._metrics
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                streams = await read_stream_status_async(self._client, self._shards)
                states = await self._processor_states(streams)
                note = await read_reconcile_note(self._client)
        except (RedisError, OSError, TimeoutError):
            metrics.redis_up.set(0)
            metrics.show_streams(())
            metrics.show_processors(None)
            return
        metrics.redis_up.set(1)
        metrics.show_streams(streams)
        metrics.show_processors(states)
        metrics.show_reconciliation(note)

    async def _processor_states(self, streams: list[StreamStatus]) -> list[str]:
        """Of all consumers; found by their names, as a scan would go through every key there is."""
        names = {consumer.name for stream in streams for consumer in stream.consumers}
        beats = await read_heartbeats_async(self._client, names) if names else {}
        return [beats.get(name, {}).get("state", ProcessorState.GONE.value) for name in names]

    async def _show_postgresql(self) -> None:
        now = time.monotonic()
        if now - self._asked_at < _FRESH_SECONDS:
            return
        self._asked_at = now
        try:
            ahead_days, compacted_until, replica = await within(_TIMEOUT_SECONDS, self._ask_postgresql())
        except (psycopg.Error, TimeoutError):
            self._metrics.forget_tables()
            return
        self._metrics.show_tables(ahead_days, compacted_until)
        self._metrics.show_replica(replica)

    async def _ask_postgresql(self) -> tuple[dict[str, int], float, Replica | None]:
        async with self._pool.connection(timeout=_TIMEOUT_SECONDS) as connection:
            cursor = await connection.execute(load_sql("analytics_api", "partitions_ahead"))
            ahead_days = dict(await cursor.fetchall())
            cursor = await connection.execute(load_sql("analytics_api", "rollups_compacted"))
            row = await cursor.fetchone()
            compacted_until = 0.0 if row is None else float(row[0])
            return ahead_days, compacted_until, await read_replica(connection)
