"""Events read page by page out of one snapshot, in bounded memory, for as long as somebody takes them.

Each page is one FETCH, under the reader's statement time-out; the snapshot ends when nobody takes a page for
``IDLE_SECONDS``. The order is client_id, occurred_at, event_id: a client after another, each by the index.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Final

from psycopg import sql

from analytics_api.queries.bindings import Bindings
from analytics_api.queries.conditions import Condition, condition_sql
from analytics_api.reader import Reader, Row, Snapshot
from analytics_api.time_range import TimeRange
from shared.sql_files import load_sql

IDLE_SECONDS: Final = 60
_PAGE_BYTES: Final = 1024 * 1024
_FIRST_ROWS: Final = 16
_MOST_ROWS: Final = 500


@dataclass(frozen=True, slots=True)
class ExportQuestion:
    """Which events."""

    asked: TimeRange
    client_id: str | None
    event_type: str | None
    condition: Condition


async def export_pages(reader: Reader, question: ExportQuestion) -> AsyncGenerator[list[Row], None]:
    """Pages of rows, none empty. Raises Problem, as ``Reader.rows``, before or between pages."""
    bindings = Bindings()
    statement = sql.SQL(load_sql("analytics_api.queries", "export_events")).format(
        conditions=condition_sql(question.condition, bindings)
    )
    values: dict[str, Any] = {
        **bindings.values,
        "start": question.asked.start,
        "end": question.asked.end,
        "event_type": question.event_type,
    }
    async with reader.snapshot(IDLE_SECONDS) as snapshot:
        for client_id in await _clients(snapshot, question.client_id):
            async with snapshot.cursor(statement, {**values, "client_id": client_id}) as fetch:
                most = _FIRST_ROWS
                while rows := await fetch(most):
                    yield rows
                    if len(rows) < most:
                        break
                    most = next_rows(most, rows)


async def _clients(snapshot: Snapshot, client_id: str | None) -> list[str]:
    if client_id is not None:
        return [client_id]
    rows = await snapshot.rows(sql.SQL(load_sql("analytics_api.queries", "list_clients")).format(), {})
    return [row["client_id"] for row in rows]


def next_rows(most: int, rows: list[Row]) -> int:
    """How many rows to ask for next: about a megabyte as the last ones were, and never more than twice as many."""
    mean_bytes = sum(len(row["payload"]) + len(row["context"]) for row in rows) // len(rows) + 1
    return max(1, min(2 * most, _MOST_ROWS, _PAGE_BYTES // mean_bytes))
