"""Which calls of the audit log are asked for, and reading them page by page."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints

from analytics_api.cursor import Page
from analytics_api.newest_first import newest_rows
from analytics_api.parameters import PageParameters, RangeParameters, Text
from analytics_api.reader import Reader, Row
from analytics_api.time_range import resolve_range

COLUMNS: Final = (
    "at", "service", "instance", "client_id", "key_id", "method", "endpoint", "path", "query", "status", "error",
    "duration_ms", "bytes_in", "bytes_out", "address", "user_agent", "request_id", "calls",
)  # fmt: skip
_FAILED: Final = "failed"
_EXPORT_PAGE: Final = 1000

Status = Annotated[
    str,
    StringConstraints(pattern=r"^([1-5]xx|[1-5]\d\d)$"),
    Field(description="A status such as `404`, or a class of them such as `4xx`."),
]


class LogFilters(RangeParameters):
    """Which calls."""

    endpoint: Annotated[
        Text | None, Field(description="A route template; `failed` is every call with a status of 400 or more.")
    ] = None
    path: Annotated[Text | None, Field(description="What the path asked for begins with.")] = None
    method: Annotated[Text | None, AfterValidator(lambda name: name and name.upper())] = None
    status: Status | None = None
    error: Annotated[Text | None, Field(description="A problem type, such as `rate-limited`.")] = None
    service: Literal["gateway", "analytics"] | None = None
    key_id: Annotated[Text | None, Field(description="The public id of a key.")] = None
    address: Annotated[Text | None, Field(description="The client's address.")] = None
    request_id: Text | None = None
    min_duration_ms: Annotated[float | None, Field(ge=0, le=86_400_000)] = None


class LogParameters(LogFilters, PageParameters):
    """Which calls, page by page."""


def query_values(filters: LogFilters, client_id: str | None) -> dict[str, Any]:
    """The query's parameters, but for the page's."""
    low, high = _statuses(filters.status)
    is_failed = filters.endpoint == _FAILED
    return {
        **filters.model_dump(exclude={"from_", "to", "limit", "cursor", "status", "min_duration_ms"}),
        "client_id": client_id,
        "endpoint": None if is_failed else filters.endpoint,
        "only_failed": is_failed,
        "status_from": low,
        "status_to": high,
        "min_duration_us": None if filters.min_duration_ms is None else round(filters.min_duration_ms * 1000),
    }


def page_values(page: Page, limit: int) -> dict[str, Any]:
    """The page's parameters."""
    return {
        "start": page.asked.start,
        "end": page.end,
        "before_at": page.last_at,
        "before_id": page.last_key[0] if page.last_key else None,
        "limit": limit,
    }


async def read_logs(reader: Reader, values: dict[str, Any]) -> list[Row]:
    """A page. Raises Problem."""
    if values["request_id"] is not None:  # found by its own index, whichever day it was
        return await reader.rows("list_audit_logs", values)
    return await newest_rows(lambda part: reader.rows("list_audit_logs", part), values, values["limit"])


async def all_pages(reader: Reader, filters: LogFilters, values: dict[str, Any]) -> AsyncIterator[list[Row]]:
    """Every matching call, newest first, a page at a time: each a query of its own, so none holds anything for long.

    Calls that end meanwhile are not of the range, for its end is fixed at the first page. Raises Problem.
    """
    page = Page(resolve_range(filters.from_, filters.to))
    while True:
        rows = await read_logs(reader, {**values, **page_values(page, _EXPORT_PAGE)})
        if rows:
            yield rows
        if len(rows) < _EXPORT_PAGE:
            return
        page = Page(page.asked, rows[-1]["at"], (rows[-1]["id"],))


def _statuses(status: str | None) -> tuple[int | None, int | None]:
    """The half-open range that is meant."""
    if status is None:
        return None, None
    if status.endswith("xx"):
        return int(status[0]) * 100, int(status[0]) * 100 + 100
    return int(status), int(status) + 1
