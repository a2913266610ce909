"""How well events are processed: latencies from mergeable histograms, and what became of those received."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

from analytics_api.calendar_buckets import Interval, bucket_name, bucket_starts_us
from analytics_api.reader import Reader, Row
from analytics_api.rollup_levels import cut_at_levels, to_us
from analytics_api.span_values import SpanValues, span_values
from analytics_api.time_range import TimeRange
from shared.latency_sketch import bucket_value_us
from shared.problems import FieldError, Problem

Described = dict[str, Any]

_PERCENTILES: Final = ("p50", "p95", "p99")
_OUTCOMES: Final = ("stored", "duplicates", "conflicting", "failed", "retried")
_WHOLE: Final = None
"""The place of the whole range among those of its buckets."""


@dataclass(frozen=True, slots=True)
class ProcessingQuestion:
    """Over which whole minutes, of whom, and along what."""

    asked: TimeRange
    client_id: str | None
    by_type: bool
    interval: Interval | None
    zone: ZoneInfo


class _Cells:
    """What was found for each bucket, and what a bucket is worth in seconds."""

    def __init__(self, labels: Sequence[str], bounds_us: Sequence[int]) -> None:
        self._labels = labels
        self._seconds: dict[int | None, float] = {
            place: (end - start) / 1e6 for place, (start, end) in enumerate(pairwise(bounds_us))
        }
        self._seconds[_WHOLE] = (bounds_us[-1] - bounds_us[0]) / 1e6

    def latencies(self, rows: dict[int | None, Row], place: int | None) -> Described:
        """Count, throughput and percentiles, in milliseconds."""
        row = rows.get(place, {"count": 0})
        return {
            "count": row["count"],
            "throughput_per_second": row["count"] / self._seconds[place],
            "latency_ms": {name: _milliseconds(row.get(name)) for name in _PERCENTILES},
        }

    def series(self, rows: dict[int | None, Row], outcomes: dict[int, Row] | None) -> list[Described]:
        """Every bucket, also those without an event."""
        return [
            {
                "bucket": label,
                **self.latencies(rows, place),
                **({} if outcomes is None else _outcomes(outcomes.get(place))),
            }
            for place, label in enumerate(self._labels)
        ]


async def processing_metrics(reader: Reader, question: ProcessingQuestion, max_rows: int) -> Described:
    """The answer. Raises Problem: invalid-query when it would have more than ``max_rows``, or as ``Reader.rows``."""
    labels, bounds_us = _buckets(question, max_rows)
    levels = cut_at_levels(bounds_us)
    values: SpanValues = {"client_id": question.client_id, "by_type": question.by_type, "row_limit": max_rows + 1}
    # of a client's types there are no hours: see migration 0008
    latency_levels = levels.without_hours() if question.by_type and question.client_id is not None else levels
    found = await reader.rows("latency_percentiles", span_values(latency_levels, bounds_us) | values)
    values = {"client_id": question.client_id, "last": question.asked.end}
    intake = await reader.rows("intake_by_bucket", span_values(levels, bounds_us) | values)
    latencies: dict[str | None, dict[int | None, Row]] = {}
    for row in found:
        latencies.setdefault(row["event_type"], {})[row["place"]] = row
    if len(found) > max_rows or len(latencies) * len(labels) > max_rows:
        raise _too_many(max_rows)
    cells, together = _Cells(labels, bounds_us), latencies.pop(None, {})
    outcomes = {row["place"]: row for row in intake}
    totals = {name: sum(row[name] for row in intake) for name in _OUTCOMES}
    answer = {**cells.latencies(together, _WHOLE), **totals}
    if question.interval is not None:
        answer["series"] = cells.series(together, outcomes)
    if question.by_type:
        rows = [_of_type(name, cells, each, question) for name, each in latencies.items()]
        answer["rows"] = sorted(rows, key=lambda row: (-row["count"], row["event_type"]))
    return answer


def _of_type(name: str | None, cells: _Cells, rows: dict[int | None, Row], question: ProcessingQuestion) -> Described:
    series = {} if question.interval is None else {"series": cells.series(rows, None)}
    return {"event_type": name, **cells.latencies(rows, _WHOLE), **series}


def _buckets(question: ProcessingQuestion, max_rows: int) -> tuple[list[str], list[int]]:
    """The buckets' names, none without an interval, and where they meet, with both ends of the range."""
    start_us, end_us = to_us(question.asked.start), to_us(question.asked.end)
    if question.interval is None:
        return [], [start_us, end_us]
    starts = bucket_starts_us(question.asked, question.interval, question.zone, max_rows + 1)
    if len(starts) > max_rows:
        raise _too_many(max_rows)
    return [bucket_name(start, question.zone) for start in starts], [start_us, *starts[1:], end_us]


def _outcomes(row: Row | None) -> Described:
    return {name: 0 if row is None else row[name] for name in _OUTCOMES}


def _milliseconds(bucket: int | None) -> float | None:
    return None if bucket is None else round(bucket_value_us(bucket) / 1000, 3)


def _too_many(max_rows: int) -> Problem:
    detail = f"the answer would have more than {max_rows} rows: narrow the range, or take a longer 'interval'"
    return Problem("invalid-query", detail, errors=[FieldError("/query/interval", detail)])
