"""Reads PostgreSQL for the calls: one statement at a time, under a deadline, errors told as problems."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, TypeVar, cast

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from shared.deadline import within
from shared.problems import Problem
from shared.sql_files import load_sql

Row = dict[str, Any]
Result = TypeVar("Result")

_CONNECT_SECONDS: Final = 2.0
_SLACK_SECONDS: Final = 1.0  # beyond the statement's own time-out, for a server that does not even answer that
_RETRY_AFTER_SECONDS: Final = 2


def configure_reader(statement_timeout_ms: int) -> Callable[[AsyncConnection[Any]], Awaitable[None]]:
    """The ``configure`` of the pool that ``Reader`` is given: reading only, in UTC, every statement under a time-out.

    Plans are always made for the parameters at hand, for optional filters are written ``%(x)s IS NULL OR …``. JIT is
    off: it takes longer than these queries.
    """
    settings = {
        "statement_timeout": str(statement_timeout_ms),
        "default_transaction_read_only": "on",
        "plan_cache_mode": "force_custom_plan",
        "jit": "off",
        "TimeZone": "UTC",
    }

    async def configure(connection: AsyncConnection[Any]) -> None:
        await connection.set_autocommit(True)
        for name, value in settings.items():
            await connection.execute("SELECT set_config(%s, %s, false)", (name, value))

    return configure


class Reader:
    """Runs the queries of ``analytics_api/sql``. ``pool`` is opened, closed and configured by its owner."""

    def __init__(self, pool: AsyncConnectionPool[Any], statement_timeout_ms: int) -> None:
        self._pool = pool
        self._statement_timeout_ms = statement_timeout_ms

    async def rows(self, query: str, parameters: Mapping[str, object]) -> list[Row]:
        """All rows. Raises Problem: query-timeout, or unavailable when PostgreSQL is away or hangs."""

        async def fetch() -> list[Row]:
            async with self._cursor() as cursor:
                await cursor.execute(load_sql("analytics_api", query), parameters)
                return await cursor.fetchall()

        return await self._guarded(fetch())

    async def first(self, query: str, parameters: Mapping[str, object]) -> Row | None:
        """The first row, or None. Raises as ``rows``."""
        rows = await self.rows(query, parameters)
        return rows[0] if rows else None

    async def page(
        self, query: str, parameters: Mapping[str, object], max_bytes: int, measure: Callable[[Row], int]
    ) -> tuple[list[Row], bool]:
        """The first rows, and whether they were cut off: behind the one that brings ``measure``'s sum to ``max_bytes``.

        Raises as ``rows``. Rows are taken one by one as the server makes them, and its work ends with the page.
        """

        async def fetch() -> tuple[list[Row], bool]:
            rows: list[Row] = []
            total_bytes = 0
            async with self._cursor() as cursor, aclosing(self._stream(cursor, query, parameters)) as stream:
                async for row in stream:
                    rows.append(row)
                    total_bytes += measure(row)
                    if total_bytes >= max_bytes:
                        return rows, True
            return rows, False

        return await self._guarded(fetch())

    @staticmethod
    def _stream(
        cursor: psycopg.AsyncCursor[Row], query: str, parameters: Mapping[str, object]
    ) -> AsyncGenerator[Row, None]:
        # A generator, though typed as an iterator: closing it early cancels the rest on the server.
        return cast(AsyncGenerator[Row, None], cursor.stream(load_sql("analytics_api", query), parameters))

    @asynccontextmanager
    async def _cursor(self) -> AsyncIterator[psycopg.AsyncCursor[Row]]:
        async with (
            self._pool.connection(timeout=_CONNECT_SECONDS) as connection,
            connection.cursor(row_factory=dict_row) as cursor,
        ):
            yield cursor

    async def _guarded(self, work: Coroutine[Any, Any, Result]) -> Result:
        deadline_seconds = _CONNECT_SECONDS + self._statement_timeout_ms / 1000 + _SLACK_SECONDS
        try:
            return await within(deadline_seconds, work)
        except psycopg.errors.QueryCanceled as error:
            raise self._too_slow() from error
        except (psycopg.OperationalError, TimeoutError) as error:  # pool time-outs are operational errors too
            raise unavailable("PostgreSQL") from error

    def _too_slow(self) -> Problem:
        return Problem(
            "query-timeout",
            f"the query took longer than {self._statement_timeout_ms} ms: narrow 'from' and 'to', or name 'client_id' "
            "or 'event_type'",
        )


def unavailable(server: str) -> Problem:
    """The 503 of a call whose server is away."""
    return Problem("unavailable", f"{server} does not answer; send the request again", retry_after=_RETRY_AFTER_SECONDS)
