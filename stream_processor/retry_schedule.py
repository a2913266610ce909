"""The scheduled retry: failed events of the classes worth it, put back when their time has come.

Every processor looks at every interval; an advisory lock lets one at a time do it. When an event is due stands in its
row, so it does not matter which, nor how many look. WEIR_RETRY_MAX bounds it, not the guard of replays by hand.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

import psycopg
import redis.asyncio
import structlog
from psycopg import AsyncConnection
from redis.exceptions import RedisError

from shared.failed_events import STALE_REPLAY, RetryPolicy
from shared.replay import PAGE, Replayer
from shared.sql_files import load_sql

log = structlog.get_logger()

LEADER_LOCK: Final = 0x72657472
"""Any number no other lock has: "retr" in ASCII."""
_AFTER_TROUBLE_SECONDS: Final = 10.0


class RetrySchedule:
    """``connect`` and ``make_redis`` give a connection in autocommit and a client; each round opens its own."""

    def __init__(
        self,
        policy: RetryPolicy,
        shards: int,
        connect: Callable[[], Awaitable[AsyncConnection[Any]]],
        make_redis: Callable[[], "redis.asyncio.Redis"],
    ) -> None:
        self._policy = policy
        self._shards = shards
        self._connect = connect
        self._make_redis = make_redis
        self.tell: Callable[[int], None] | None = None
        """Told how many events each round has put back."""

    def run_round(self) -> float:
        """Put back what is due; how long to wait until the next time. Blocks; raises nothing for servers away."""
        try:
            retried = asyncio.run(self.retry_due(datetime.now(UTC)))
        except (psycopg.Error, RedisError, OSError) as error:
            log.warning("retries.put_off", error=f"{type(error).__name__}: {str(error).strip()}")
            return min(self._policy.interval_seconds, _AFTER_TROUBLE_SECONDS)
        if retried:
            log.info("retries.put_back", events=retried)
            if self.tell is not None:
                self.tell(retried)
        return self._policy.interval_seconds

    async def retry_due(self, now: datetime) -> int:
        """Put back the events due at ``now``; how many. None while another leads. Raises psycopg.Error, RedisError."""
        async with await self._connect() as connection, self._make_redis() as client:
            if not await _lead(connection):
                return 0
            replayer = Replayer(connection, client, self._shards)
            retried = 0
            while due := await self._due(connection, now):
                put_back = await replayer.put_back(due, now, scheduled=True)
                retried += len(put_back)
                if len(put_back) < len(due):  # the rest is in other hands
                    break
            return retried

    async def _due(self, connection: AsyncConnection[Any], now: datetime) -> list[int]:
        cursor = await connection.execute(
            load_sql("stream_processor", "due_retries"),
            {
                "now": now,
                "stale_before": now - STALE_REPLAY,
                "most_tries": self._policy.most_tries,
                "limit": PAGE,
            },
        )
        return [id_ for (id_,) in await cursor.fetchall()]


async def _lead(connection: AsyncConnection[Any]) -> bool:
    """Take the lock; it ends with the connection."""
    cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", (LEADER_LOCK,))
    row = await cursor.fetchone()
    return row is not None and row[0]
