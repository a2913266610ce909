"""``GET /api/v1/analytics/events-by-type``."""

from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AfterValidator, Field

from analytics_api import answer_models
from analytics_api.calendar_buckets import Interval
from analytics_api.comparison import comparing_cells, comparing_columns, previous_range
from analytics_api.event_counts import CountQuestion, CountRow, EventCounts, count_events
from analytics_api.json_answer import json_answer
from analytics_api.parameters import EventType, RangeParameters, known_zone, only_known
from analytics_api.queries.answer_documents import csv_response
from analytics_api.queries.csv_lines import safe_text
from analytics_api.queries.payload_path import PREFIX
from analytics_api.queries.query_form import PayloadField
from analytics_api.queries.query_routes import answer_by_type
from analytics_api.reader import Reader
from analytics_api.tenancy import Reading, visible_client
from analytics_api.time_range import resolve_range

_GROUPS = ("event_type", "client_id")
_NO_GROUPS = "none"


def _known_groups(value: str) -> str:
    names = value.split(",")
    if value != _NO_GROUPS and (len(set(names)) != len(names) or not set(names) <= set(_GROUPS)):
        raise ValueError("must be event_type, client_id, both separated by a comma, or none")
    return value


class CountParameters(RangeParameters):
    """What is counted, and along what."""

    event_type: EventType | None = None
    interval: Annotated[Interval | None, Field(description="Count in buckets of this length, without holes.")] = None
    tz: Annotated[str, AfterValidator(known_zone), Field(description="IANA time zone of the buckets.")] = "UTC"
    group_by: Annotated[
        str, AfterValidator(_known_groups), Field(description="event_type,client_id or one, or none.")
    ] = "event_type"
    top: Annotated[
        int | None,
        Field(
            ge=1, le=1000, description="Keep the largest groups of the range apart; all others are one row, the rest."
        ),
    ] = None
    compare: Annotated[
        Literal["previous"] | None, Field(description="Compare each row with the span as long, one range before.")
    ] = None
    format: Literal["json", "csv"] = "json"
    count_unique: PayloadField | None = None


def count_routes(reader: Reader, max_rows: int) -> APIRouter:
    """The calls that answer counts."""
    router = APIRouter(prefix="/api/v1/analytics", tags=["analytics"])

    @router.get(
        "/events-by-type",
        response_model=answer_models.EventCounts,
        responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
        dependencies=[Depends(only_known(CountParameters, PREFIX))],
    )
    async def events_by_type(
        request: Request, api_key: Reading, parameters: Annotated[CountParameters, Query()]
    ) -> Response:
        """Stored events by type, by `occurred_at`: exact to the microsecond at both ends of the range.

        With `interval` a series without holes: each group in each bucket that shares a moment with the range, named
        by its first moment in `tz`. With `top`, `rest_of` is 0 for the groups that are kept apart, and tells of the
        rest how many groups it stands for. With `compare`, each row has `previous` and `change_ratio`, both by
        measure (0.5 is half as many again; null where there were none). `source` tells whether the answer is from
        rollups alone. With `count_unique` or `payload.…` filters events are read, and the answer is that of
        `/api/v1/analytics/query`.
        """
        if parameters.count_unique or any(name.startswith(PREFIX) for name in request.query_params):
            return await answer_by_type(reader, max_rows, api_key, request)
        question = read_question(parameters, visible_client(api_key, parameters.client_id))
        counts = await count_events(reader, question, max_rows)
        if parameters.format == "csv":
            return _csv(question, counts)
        return json_answer(_document(question, parameters.tz, counts))

    return router


def read_question(parameters: CountParameters, client_id: str | None) -> CountQuestion:
    """What the parameters ask. Raises Problem invalid-query for a range that ends before it begins."""
    groups = parameters.group_by.split(",")
    return CountQuestion(
        asked=resolve_range(parameters.from_, parameters.to),
        client_id=client_id,
        event_type=parameters.event_type,
        by_type="event_type" in groups,
        by_client="client_id" in groups,
        interval=parameters.interval,
        zone=ZoneInfo(parameters.tz),
        top=parameters.top,
        compares=parameters.compare is not None,
    )


def _document(question: CountQuestion, tz: str, counts: EventCounts) -> dict[str, Any]:
    document: dict[str, Any] = {
        "from": question.asked.start,
        "to": question.asked.end,
        "interval": question.interval,
        "tz": tz,
        "source": counts.source,
        "total": counts.total,
    }
    if question.compares:
        before = previous_range(question.asked)
        document["previous"] = {"from": before.start, "to": before.end, "total": counts.previous_total}
    return document | {"rows": counts.rows}


def _csv(question: CountQuestion, counts: EventCounts) -> Response:
    """RFC 4180, with a header line; no text in it is a formula."""
    has = {
        "event_type": question.by_type,
        "client_id": question.by_client,
        "rest_of": question.top is not None,
        "bucket": question.interval is not None,
        "count": True,
    }
    names = [name for name, is_there in has.items() if is_there]
    head = [*names, *(comparing_columns(["count"]) if question.compares else [])]
    return csv_response([head, *(_cells(names, row) for row in counts.rows)])


def _cells(names: list[str], row: CountRow) -> list[Any]:
    cells = [safe_text(row[name]) if isinstance(row[name], str) else row[name] for name in names]
    return cells + (comparing_cells({"count": row["count"]}, row["previous"]) if "previous" in row else [])
