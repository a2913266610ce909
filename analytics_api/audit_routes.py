"""``GET /api/v1/audit/logs``, ``/export`` and ``/failed-events``."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse

from analytics_api.answer_models import AuditPage, FailedEventPage
from analytics_api.audit_logs import (
    COLUMNS,
    LogFilters,
    LogParameters,
    all_pages,
    page_values,
    query_values,
    read_logs,
)
from analytics_api.cursor import filters_digest, next_cursor, open_page
from analytics_api.export_stream import Format, export_answer
from analytics_api.json_answer import json_answer
from analytics_api.parameters import EventType, PageParameters, Text, only_known
from analytics_api.reader import Reader, Row
from analytics_api.tenancy import Reading, visible_client


class ExportParameters(LogFilters):
    """Which calls, all at once."""

    format: Format = "ndjson"


class FailedEventParameters(PageParameters):
    """Which failed events; the range is about their last failure."""

    event_type: EventType | None = None
    reason: Text | None = None


def audit_routes(reader: Reader) -> APIRouter:
    """The calls that tell what was done, and what went wrong."""
    router = APIRouter(prefix="/api/v1/audit", tags=["audit"])

    @router.get("/logs", response_model=AuditPage, dependencies=[Depends(only_known(LogParameters))])
    async def logs(api_key: Reading, parameters: Annotated[LogParameters, Query()]) -> Response:
        """Calls that either service answered, newest first. A record is here a moment after its answer left.

        Calls without a valid key beyond the limit are counted by address: such a record has `calls` above 1.
        """
        client_id = visible_client(api_key, parameters.client_id)
        filters = {**parameters.model_dump(), "client_id": client_id}
        values = query_values(parameters, client_id)
        rows, cursor = await _read_page(
            partial(read_logs, reader), "list_audit_logs", filters, values, parameters, "at"
        )
        return json_answer({"logs": [{name: row[name] for name in COLUMNS} for row in rows], "next_cursor": cursor})

    @router.get(
        "/export",
        response_class=StreamingResponse,
        dependencies=[Depends(only_known(ExportParameters))],
        responses={200: {"content": {"application/x-ndjson": {}, "text/csv": {}}}},
    )
    async def export(api_key: Reading, parameters: Annotated[ExportParameters, Query()]) -> Response:
        """The same calls without pages, as CSV or as one JSON document a line. Cut off without its end if it fails."""
        client_id = visible_client(api_key, parameters.client_id)
        values = query_values(parameters, client_id)
        return await export_answer(all_pages(reader, parameters, values), COLUMNS, parameters.format, "audit")

    @router.get(
        "/failed-events", response_model=FailedEventPage, dependencies=[Depends(only_known(FailedEventParameters))]
    )
    async def failed_events(api_key: Reading, parameters: Annotated[FailedEventParameters, Query()]) -> Response:
        """Events that were given up, the latest failure first; the call for one event has its payload."""
        filters = {**parameters.model_dump(), "client_id": visible_client(api_key, parameters.client_id)}
        query = "list_failed_events"
        read = partial(reader.rows, query)
        rows, cursor = await _read_page(read, query, filters, filters, parameters, "last_failed_at")
        return json_answer({"failed_events": rows, "next_cursor": cursor})

    return router


async def _read_page(
    read: Callable[[dict[str, Any]], Awaitable[list[Row]]],
    query: str,
    filters: dict[str, Any],
    values: dict[str, Any],
    parameters: PageParameters,
    at: str,
) -> tuple[list[dict[str, Any]], str | None]:
    digest = filters_digest(query, filters)
    page = open_page(parameters.cursor, digest, parameters.from_, parameters.to, (int,))
    rows = await read({**values, **page_values(page, parameters.limit)})
    if len(rows) < parameters.limit:
        return rows, None
    return rows, next_cursor(page, digest, rows[-1][at], (rows[-1]["id"],))
