"""Reads PostgreSQL for the calls: one statement at a time, under a deadline, errors told as problems."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any, Final, LiteralString, Protocol, TypeVar, cast

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from analytics_api.moments import register_moments
from shared.deadline import within
from shared.problems import Problem
from shared.sql_files import load_sql

Row = dict[str, Any]
Query = str | sql.Composed
"""The name of a file in ``analytics_api/sql``, or a statement put together from files and pieces, its values bound."""
Result = TypeVar("Result")
Fetch = Callable[[int], Awaitable[list[Row]]]

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
        register_moments(connection)
        await connection.set_autocommit(True)
        for name, value in settings.items():
            await connection.execute("SELECT set_config(%s, %s, false)", (name, value))

    return configure


class Reader:
    """Runs queries. ``pool`` is opened, closed and configured by its owner."""

    def __init__(self, pool: AsyncConnectionPool[Any], statement_timeout_ms: int) -> None:
        self._pool = pool
        self._statement_timeout_ms = statement_timeout_ms

    async def rows(self, query: Query, parameters: Mapping[str, object]) -> list[Row]:
        """All rows. Raises Problem: query-timeout, or unavailable when PostgreSQL is away or hangs."""

        async def fetch() -> list[Row]:
            async with self._cursor() as cursor:
                await cursor.execute(_statement(query), parameters)
                return await cursor.fetchall()

        return await self._guarded(fetch())

    async def first(self, query: Query, parameters: Mapping[str, object]) -> Row | None:
        """The first row, or None. Raises as ``rows``."""
        rows = await self.rows(query, parameters)
        return rows[0] if rows else None

    async def page(
        self, query: Query, parameters: Mapping[str, object], max_bytes: int, measure: Callable[[Row], int]
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
        cursor: psycopg.AsyncCursor[Row], query: Query, parameters: Mapping[str, object]
    ) -> AsyncGenerator[Row, None]:
        # A generator, though typed as an iterator: closing it early cancels the rest on the server.
        return cast(AsyncGenerator[Row, None], cursor.stream(_statement(query), parameters))

    @asynccontextmanager
    async def _cursor(self) -> AsyncIterator[psycopg.AsyncCursor[Row]]:
        async with (
            self._pool.connection(timeout=_CONNECT_SECONDS) as connection,
            connection.cursor(row_factory=dict_row) as cursor,
        ):
            yield cursor

    @asynccontextmanager
    async def snapshot(self, idle_seconds: int) -> AsyncIterator["Snapshot"]:
        """One moment's state of everything, for several statements, each under the statement time-out.

        The server ends it when no statement comes for ``idle_seconds``. Raises as ``rows``, on entering.
        """
        async with AsyncExitStack() as stack:

            async def begin() -> AsyncConnection[Any]:
                connection: AsyncConnection[Any] = await stack.enter_async_context(
                    self._pool.connection(timeout=_CONNECT_SECONDS)
                )
                await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                setting = "SELECT set_config('idle_in_transaction_session_timeout', %s, true)"
                await connection.execute(setting, (f"{idle_seconds}s",))
                return connection

            yield Snapshot(await self._guarded(begin()), self._guarded)

    async def _guarded(self, work: Coroutine[Any, Any, Result]) -> Result:
        deadline_seconds = _CONNECT_SECONDS + self._statement_timeout_ms / 1000 + _SLACK_SECONDS
        try:
            return await within(deadline_seconds, work)
        except psycopg.errors.QueryCanceled as error:
            raise self._too_slow() from error
        except psycopg.errors.IdleInTransactionSessionTimeout as error:
            raise unavailable("PostgreSQL") from error
        except (psycopg.OperationalError, TimeoutError) as error:  # pool time-outs are operational errors too
            raise unavailable("PostgreSQL") from error

    def _too_slow(self) -> Problem:
        return Problem(
            "query-timeout",
            f"the query took longer than {self._statement_timeout_ms} ms: narrow 'from' and 'to', or name 'client_id' "
            "or 'event_type'",
        )


class _Guard(Protocol):
    """Runs work under the deadline, and tells its errors as problems."""

    def __call__(self, work: Coroutine[Any, Any, Result]) -> Coroutine[Any, Any, Result]: ...


class Snapshot:
    """Statements that see one moment's state; one at a time. Made by ``Reader.snapshot``."""

    def __init__(self, connection: AsyncConnection[Any], guarded: _Guard) -> None:
        self._connection = connection
        self._guarded = guarded

    async def rows(self, query: Query, parameters: Mapping[str, object]) -> list[Row]:
        """All rows. Raises as ``Reader.rows``."""

        async def fetch() -> list[Row]:
            async with self._connection.cursor(row_factory=dict_row) as cursor:
                await cursor.execute(_statement(query), parameters)
                return await cursor.fetchall()

        return await self._guarded(fetch())

    @asynccontextmanager
    async def cursor(self, query: Query, parameters: Mapping[str, object]) -> AsyncIterator[Fetch]:
        """A function that fetches up to so many further rows of the query. Raises as ``rows``, as does the function."""
        cursor = self._connection.cursor("snapshot", row_factory=dict_row)

        async def fetch(most: int) -> list[Row]:
            return await self._guarded(cursor.fetchmany(most))

        async with cursor:
            await self._guarded(cursor.execute(_statement(query), parameters))
            yield fetch


def _statement(query: Query) -> LiteralString | sql.Composed:
    return load_sql("analytics_api", query) if isinstance(query, str) else query


def unavailable(server: str) -> Problem:
    """The 503 of a call whose server is away."""
    return Problem("unavailable", f"{server} does not answer; send the request again", retry_after=_RETRY_AFTER_SECONDS)
