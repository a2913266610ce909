"""``GET /api/v1/analytics/events-by-type``."""

import csv
from io import StringIO
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AfterValidator, Field

from analytics_api.answer_models import EventCounts
from analytics_api.calendar_buckets import Interval, zone_names
from analytics_api.event_counts import CountQuestion, CountRow, count_events
from analytics_api.json_answer import json_answer
from analytics_api.parameters import EventType, RangeParameters, only_known
from analytics_api.reader import Reader
from analytics_api.tenancy import Reading, visible_client
from analytics_api.time_range import resolve_range

_GROUPS = ("event_type", "client_id")


def _known_zone(name: str) -> str:
    if name not in zone_names():
        raise ValueError("must be an IANA time zone, such as Europe/Berlin")
    return name


def _known_groups(value: str) -> str:
    names = value.split(",")
    if len(set(names)) != len(names) or not set(names) <= set(_GROUPS):
        raise ValueError("must be event_type, client_id, or both separated by a comma")
    return value


class CountParameters(RangeParameters):
    """What is counted, and along what."""

    event_type: EventType | None = None
    interval: Annotated[Interval | None, Field(description="Count in buckets of this length, without holes.")] = None
    tz: Annotated[str, AfterValidator(_known_zone), Field(description="IANA time zone of the buckets.")] = "UTC"
    group_by: Annotated[str, AfterValidator(_known_groups), Field(description="event_type,client_id or one.")] = (
        "event_type"
    )
    format: Literal["json", "csv"] = "json"


def count_routes(reader: Reader, max_rows: int) -> APIRouter:
    """The calls that answer counts."""
    router = APIRouter(prefix="/api/v1/analytics", tags=["analytics"])

    @router.get(
        "/events-by-type",
        response_model=EventCounts,
        responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
        dependencies=[Depends(only_known(CountParameters))],
    )
    async def events_by_type(api_key: Reading, parameters: Annotated[CountParameters, Query()]) -> Response:
        """Stored events by type, by `occurred_at`: exact to the microsecond at both ends of the range.

        With `interval` a series without holes: each group in each bucket that shares a moment with the range, named
        by its first moment in `tz`. `source` tells whether the answer is from rollups alone.
        """
        groups = parameters.group_by.split(",")
        question = CountQuestion(
            asked=resolve_range(parameters.from_, parameters.to),
            client_id=visible_client(api_key, parameters.client_id),
            event_type=parameters.event_type,
            by_type="event_type" in groups,
            by_client="client_id" in groups,
            interval=parameters.interval,
            zone=ZoneInfo(parameters.tz),
        )
        counts = await count_events(reader, question, max_rows)
        if parameters.format == "csv":
            return _csv(counts.rows, [*(name for name in _GROUPS if name in groups), *_bucket(question), "count"])
        document: dict[str, Any] = {
            "from": question.asked.start,
            "to": question.asked.end,
            "interval": parameters.interval,
            "tz": parameters.tz,
            "source": counts.source,
            "total": counts.total,
            "rows": counts.rows,
        }
        return json_answer(document)

    return router


def _bucket(question: CountQuestion) -> list[str]:
    return [] if question.interval is None else ["bucket"]


def _csv(rows: list[CountRow], columns: list[str]) -> Response:
    """RFC 4180, with a header line."""
    text = StringIO()
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    headers = {"cache-control": "no-store", "content-type": "text/csv; charset=utf-8; header=present"}
    return Response(text.getvalue(), headers=headers)
