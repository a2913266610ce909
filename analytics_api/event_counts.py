"""Counts of events by type, client and bucket: exact, gap-less, from rollups wherever they reach."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from analytics_api.calendar_buckets import Interval, bucket_starts
from analytics_api.reader import Reader, Row
from analytics_api.time_range import TimeRange, cut_at_minutes, floor_minute
from shared.problems import FieldError, Problem

Group = tuple[str | None, str | None]
CountRow = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CountQuestion:
    """What is to be counted, and along what."""

    asked: TimeRange
    client_id: str | None
    event_type: str | None
    by_type: bool
    by_client: bool
    interval: Interval | None
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class EventCounts:
    """The answer. ``source`` is ``rollups``, or ``rollups+events`` when parts of minutes had to be counted."""

    rows: list[CountRow]
    source: str

    @property
    def total(self) -> int:
        return sum(row["count"] for row in self.rows)


async def count_events(reader: Reader, question: CountQuestion, max_rows: int) -> EventCounts:
    """Count. Raises Problem: invalid-query when the answer would have more than ``max_rows``, or as ``Reader.rows``."""
    starts = _starts(question, max_rows)
    parts = cut_at_minutes(question.asked)
    values = {
        "whole_start": parts.whole.start,
        "whole_end": parts.whole.end,
        "head_start": parts.head.start,
        "head_end": parts.head.end,
        "tail_start": parts.tail.start,
        "tail_end": parts.tail.end,
        "client_id": question.client_id,
        "event_type": question.event_type,
        "by_type": question.by_type,
        "by_client": question.by_client,
        "starts": starts,
        "row_limit": max_rows + 1,
    }
    counted = await reader.rows("count_events", values)
    if len(counted) > max_rows:
        raise _too_many(max_rows)
    source = "rollups+events" if parts.has_edges else "rollups"
    if question.interval is None:
        return EventCounts(sorted((_row(question, row) for row in counted), key=_largest_first), source)
    return EventCounts(list(_series(question, starts, counted, max_rows)), source)


def _starts(question: CountQuestion, max_rows: int) -> list[datetime]:
    if question.interval is None:
        return [floor_minute(question.asked.start)]
    starts = list(islice(bucket_starts(question.asked, question.interval, question.zone), max_rows + 1))
    if len(starts) > max_rows:
        raise _too_many(max_rows)
    return starts


def _series(question: CountQuestion, starts: list[datetime], counted: list[Row], max_rows: int) -> Iterator[CountRow]:
    """Every group in every bucket, zeros included. A type that was asked for has its series even without an event."""
    counts = {(row["event_type"], row["client_id"], row["bucket"]): row["count"] for row in counted}
    groups: set[Group] = {(event_type, client_id) for event_type, client_id, _ in counts}
    if not groups and _names_its_group(question):
        groups = {
            (question.event_type if question.by_type else None, question.client_id if question.by_client else None)
        }
    if len(groups) * len(starts) > max_rows:
        raise _too_many(max_rows)
    ordered = sorted(groups, key=lambda group: (group[0] or "", group[1] or ""))
    for bucket, start in enumerate(starts):
        for event_type, client_id in ordered:
            count = counts.get((event_type, client_id, bucket), 0)
            yield _row(question, {"event_type": event_type, "client_id": client_id, "count": count}, start)


def _names_its_group(question: CountQuestion) -> bool:
    has_type = question.event_type is not None or not question.by_type
    return has_type and (question.client_id is not None or not question.by_client)


def _row(question: CountQuestion, row: Row, start: datetime | None = None) -> CountRow:
    named: CountRow = {}
    if question.by_type:
        named["event_type"] = row["event_type"]
    if question.by_client:
        named["client_id"] = row["client_id"]
    if start is not None:
        named["bucket"] = start.astimezone(question.zone).isoformat()
    return named | {"count": row["count"]}


def _largest_first(row: CountRow) -> tuple[int, str, str]:
    return -row["count"], row.get("event_type", ""), row.get("client_id", "")


def _too_many(max_rows: int) -> Problem:
    detail = f"the answer would have more than {max_rows} rows: narrow 'from' and 'to', or take a longer 'interval'"
    return Problem("invalid-query", detail, errors=[FieldError("/query/interval", detail)])
