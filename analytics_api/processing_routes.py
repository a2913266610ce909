"""``GET /api/v1/analytics/processing-metrics``."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AfterValidator, BaseModel, Field

from analytics_api.answer_models import ProcessingMetrics
from analytics_api.calendar_buckets import Interval
from analytics_api.json_answer import json_answer
from analytics_api.parameters import ClientId, known_zone, only_known
from analytics_api.processing_metrics import ProcessingQuestion, processing_metrics
from analytics_api.reader import Reader
from analytics_api.tenancy import Reading, visible_client
from analytics_api.time_range import TimeRange, floor_minute, resolve_range
from shared.problems import FieldError, Problem
from shared.rfc_3339 import Time

_MINUTE: Final = timedelta(minutes=1)
_DEFAULT_DAYS: Final = 7


class ProcessingParameters(BaseModel):
    """Over which time, and whose events."""

    days: Annotated[int | None, Field(ge=1, le=366, description="Days back from `to`. Default: 7, without `from`.")] = (
        None
    )
    from_: Annotated[Time | None, Field(alias="from", description="First minute, instead of `days`.")] = None
    to: Annotated[Time | None, Field(description="Behind the last minute. Default: now.")] = None
    client_id: ClientId | None = None
    group_by: Literal["event_type"] | None = None
    interval: Annotated[Interval | None, Field(description="Also in buckets of this length, without holes.")] = None
    tz: Annotated[str, AfterValidator(known_zone), Field(description="IANA time zone of the buckets.")] = "UTC"


def processing_routes(reader: Reader, max_rows: int) -> APIRouter:
    """The call that tells how well the processors do."""
    router = APIRouter(prefix="/api/v1/analytics", tags=["analytics"])

    @router.get(
        "/processing-metrics",
        response_model=ProcessingMetrics,
        dependencies=[Depends(only_known(ProcessingParameters))],
    )
    async def metrics(api_key: Reading, parameters: Annotated[ProcessingParameters, Query()]) -> Response:
        """Events stored, and the time from receipt to stored, within 2 %; what else became of events received.

        The range is widened to whole minutes. Latencies count by time of storing, `stored`, `duplicates` and `failed`
        by time of receipt; `retried` counts further attempts at events that failed in the end. With `interval` also a
        `series`, and one for each type with `group_by=event_type`. Times are milliseconds.
        """
        question = ProcessingQuestion(
            asked=_whole_minutes(parameters),
            client_id=visible_client(api_key, parameters.client_id),
            by_type=parameters.group_by is not None,
            interval=parameters.interval,
            zone=ZoneInfo(parameters.tz),
        )
        document: dict[str, Any] = {"from": question.asked.start, "to": question.asked.end, "source": "rollups"}
        if question.interval is not None:
            document |= {"interval": question.interval, "tz": parameters.tz}
        return json_answer(document | await processing_metrics(reader, question, max_rows))

    return router


def _whole_minutes(parameters: ProcessingParameters) -> TimeRange:
    """The range, widened. Raises Problem invalid-query unless it begins before it ends, and is told in one way."""
    if parameters.days is not None and parameters.from_ is not None:
        detail = "is given beside 'from': give one of the two"
        raise Problem("invalid-query", f"'days' {detail}", errors=[FieldError("/query/days", detail)])
    end = _ceil_minute(parameters.to) if parameters.to else floor_minute(datetime.now(UTC)) + _MINUTE
    start = parameters.from_ or end - timedelta(days=parameters.days or _DEFAULT_DAYS)
    return resolve_range(floor_minute(start), end)


def _ceil_minute(time: datetime) -> datetime:
    floor = floor_minute(time)
    return floor if floor == time else floor + _MINUTE
