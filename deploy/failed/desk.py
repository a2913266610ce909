"""An operator's connection to the failed events: as the owner of the schema, with Redis at hand for replays."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

import psycopg
import redis
from psycopg.rows import dict_row

from deploy.connections import async_redis
from deploy.endpoints import Endpoints
from shared.errors import Outage, SchemaError
from shared.failed_events import STALE_REPLAY, FailedEvent, Selection
from shared.redis_functions import redis_outage
from shared.replay import PAGE, Replayer, find_failed
from shared.sql_files import load_sql

CONNECT_SECONDS: Final = 10
_STEPS_A_SECOND: Final = 10
Answer = TypeVar("Answer")


class Desk:
    """What can be asked and done; every call blocks. Raises Outage when a server is away, SchemaError."""

    def __init__(self, endpoints: Endpoints, shards: int, redis_timeout_seconds: float) -> None:
        self._endpoints = endpoints
        self._shards = shards
        self._redis_timeout_seconds = redis_timeout_seconds

    def find(self, selection: Selection) -> list[FailedEvent]:
        """The latest failure first."""
        return self._ask(lambda connection: find_failed(connection, selection))

    def show(self, id_: int) -> dict[str, Any] | None:
        """Everything there is about one failed event, by its column; None when there is none."""

        async def show(connection: psycopg.AsyncConnection[Any]) -> dict[str, Any] | None:
            async with connection.cursor(row_factory=dict_row) as cursor:
                await cursor.execute(load_sql("deploy.failed", "find_failed_by_id"), {"id": id_})
                return await cursor.fetchone()

        return self._ask(show)

    def discard(self, ids: Sequence[int], now: datetime) -> list[int]:
        """Delete them for good, in one transaction, but for those being replayed; the ids that were deleted."""

        async def discard(connection: psycopg.AsyncConnection[Any]) -> list[int]:
            values = {"ids": list(ids), "stale_before": now - STALE_REPLAY}
            cursor = await connection.execute(load_sql("deploy.failed", "discard_failed"), values)
            return [id_ for (id_,) in await cursor.fetchall()]

        return self._ask(discard)

    def replay(self, ids: Sequence[int], now: datetime, rate: float | None, show: Callable[[int], None]) -> list[int]:
        """Put them back, at most ``rate`` a second; ``show`` is told how many are done. The ids put back."""

        async def replay(connection: psycopg.AsyncConnection[Any]) -> list[int]:
            async with async_redis(self._endpoints.redis_url, self._redis_timeout_seconds) as client:
                replayer = Replayer(connection, client, self._shards)
                return await _paced(ids, rate, show, lambda page: replayer.put_back(page, now))

        return self._ask(replay)

    def _ask(self, question: Callable[[psycopg.AsyncConnection[Any]], Awaitable[Answer]]) -> Answer:
        async def answer() -> Answer:
            async with await psycopg.AsyncConnection.connect(
                self._endpoints.database_url, autocommit=True, connect_timeout=CONNECT_SECONDS
            ) as connection:
                return await question(connection)

        try:
            return asyncio.run(answer())
        except psycopg.OperationalError as error:
            raise Outage("postgresql", str(error), sqlstate=error.sqlstate) from error
        except psycopg.errors.SyntaxErrorOrAccessRuleViolation as error:
            reason = error.diag.message_primary
            raise SchemaError(f"{reason}: run `weir db migrate` first", sqlstate=error.sqlstate) from error
        except redis.RedisError as error:
            raise redis_outage(error) from error


async def _paced(
    ids: Sequence[int],
    rate: float | None,
    show: Callable[[int], None],
    put_back: Callable[[Sequence[int]], Awaitable[list[int]]],
) -> list[int]:
    page = PAGE if rate is None else max(1, min(PAGE, int(rate / _STEPS_A_SECOND)))
    began, done = time.monotonic(), list[int]()
    for start in range(0, len(ids), page):
        if rate is not None:
            await asyncio.sleep(max(0.0, began + start / rate - time.monotonic()))
        done += await put_back(ids[start : start + page])
        show(start + len(ids[start : start + page]))
    return done
