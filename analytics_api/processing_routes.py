"""``GET /api/v1/analytics/processing-metrics``."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field

from analytics_api.answer_models import ProcessingMetrics
from analytics_api.json_answer import json_answer
from analytics_api.parameters import ClientId, only_known
from analytics_api.reader import Reader
from analytics_api.tenancy import Reading, visible_client
from analytics_api.time_range import floor_minute
from shared.latency_sketch import percentile_us

Histogram = dict[int, int]

_MINUTE: Final = timedelta(minutes=1)
_PERCENTILES: Final = (50, 95, 99)


class ProcessingParameters(BaseModel):
    """Over which time, and whose events."""

    days: Annotated[int, Field(ge=1, le=366, description="Days back from now, to the minute.")] = 7
    client_id: ClientId | None = None
    group_by: Literal["event_type"] | None = None


def processing_routes(reader: Reader) -> APIRouter:
    """The call that tells how well the processors do."""
    router = APIRouter(prefix="/api/v1/analytics", tags=["analytics"])

    @router.get(
        "/processing-metrics",
        response_model=ProcessingMetrics,
        dependencies=[Depends(only_known(ProcessingParameters))],
    )
    async def processing_metrics(api_key: Reading, parameters: Annotated[ProcessingParameters, Query()]) -> Response:
        """Events stored, and the time from receipt to stored, within 2 %; what else became of events received.

        `retried` counts further attempts at events that failed in the end. Times are milliseconds.
        """
        end = floor_minute(datetime.now(UTC)) + _MINUTE
        start = end - timedelta(days=parameters.days)
        by_type = parameters.group_by == "event_type"
        values = {"start": start, "end": end, "client_id": visible_client(api_key, parameters.client_id)}
        buckets = await reader.rows("latency_histogram", {**values, "by_type": by_type})
        histograms: dict[str | None, Histogram] = defaultdict(dict)
        everything: Histogram = defaultdict(int)
        for row in buckets:
            histograms[row["event_type"]][row["bucket"]] = row["events"]
            everything[row["bucket"]] += row["events"]
        seconds = (end - start).total_seconds()
        document: dict[str, Any] = {"from": start, "to": end, **_describe(everything, seconds)}
        document |= await reader.first("intake_totals", values) or {}
        if by_type:
            described = [{"event_type": name, **_describe(each, seconds)} for name, each in histograms.items()]
            document["rows"] = sorted(described, key=lambda row: (-row["count"], row["event_type"]))
        return json_answer(document)

    return router


def _describe(histogram: Histogram, seconds: float) -> dict[str, Any]:
    count = sum(histogram.values())
    latency_ms = {f"p{percent}": _milliseconds(percentile_us(histogram, percent / 100)) for percent in _PERCENTILES}
    return {"count": count, "throughput_per_second": count / seconds, "latency_ms": latency_ms}


def _milliseconds(microseconds: float | None) -> float | None:
    return None if microseconds is None else round(microseconds / 1000, 3)
