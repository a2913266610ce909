"""``GET /api/v1/audit/logs`` and ``GET /api/v1/audit/failed-events``."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AfterValidator, Field

from analytics_api.answer_models import AuditPage, FailedEventPage
from analytics_api.cursor import filters_digest, next_cursor, open_page
from analytics_api.json_answer import json_answer
from analytics_api.parameters import EventType, PageParameters, Text, only_known
from analytics_api.reader import Reader
from analytics_api.tenancy import Reading, visible_client

_FAILED = "failed"


class LogParameters(PageParameters):
    """Which calls."""

    endpoint: Annotated[
        Text | None, Field(description="A route template; `failed` is every call with a status of 400 or more.")
    ] = None
    method: Annotated[Text | None, AfterValidator(lambda name: name and name.upper())] = None
    status: Annotated[int | None, Field(ge=100, le=599)] = None
    service: Literal["gateway", "analytics"] | None = None
    request_id: Text | None = None


class FailedEventParameters(PageParameters):
    """Which failed events; the range is about their last failure."""

    event_type: EventType | None = None
    reason: Text | None = None


def audit_routes(reader: Reader) -> APIRouter:
    """The calls that tell what was done, and what went wrong."""
    router = APIRouter(prefix="/api/v1/audit", tags=["audit"])

    @router.get("/logs", response_model=AuditPage, dependencies=[Depends(only_known(LogParameters))])
    async def logs(api_key: Reading, parameters: Annotated[LogParameters, Query()]) -> Response:
        """Calls that either service answered, newest first. A record is here a moment after its answer left."""
        filters = {**parameters.model_dump(), "client_id": visible_client(api_key, parameters.client_id)}
        only_failed = parameters.endpoint == _FAILED
        values = {**filters, "endpoint": None if only_failed else parameters.endpoint, "only_failed": only_failed}
        rows, cursor = await _read_page(reader, "list_audit_logs", filters, values, parameters, "at")
        for row in rows:
            del row["id"]
        return json_answer({"logs": rows, "next_cursor": cursor})

    @router.get(
        "/failed-events", response_model=FailedEventPage, dependencies=[Depends(only_known(FailedEventParameters))]
    )
    async def failed_events(api_key: Reading, parameters: Annotated[FailedEventParameters, Query()]) -> Response:
        """Events that were given up, the latest failure first; the call for one event has its payload."""
        filters = {**parameters.model_dump(), "client_id": visible_client(api_key, parameters.client_id)}
        rows, cursor = await _read_page(reader, "list_failed_events", filters, filters, parameters, "last_failed_at")
        return json_answer({"failed_events": rows, "next_cursor": cursor})

    return router


async def _read_page(
    reader: Reader, query: str, filters: dict[str, Any], values: dict[str, Any], parameters: PageParameters, at: str
) -> tuple[list[dict[str, Any]], str | None]:
    digest = filters_digest(query, filters)
    page = open_page(parameters.cursor, digest, parameters.from_, parameters.to, (int,))
    values = {
        **values,
        "start": page.asked.start,
        "end": page.end,
        "before_at": page.last_at,
        "before_id": page.last_key[0] if page.last_key else None,
    }
    rows = await reader.rows(query, values)
    if len(rows) < parameters.limit:
        return rows, None
    return rows, next_cursor(page, digest, rows[-1][at], (rows[-1]["id"],))
