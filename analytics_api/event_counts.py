"""Counts of events by type, client and bucket: exact, gap-less, from rollups wherever they reach."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from analytics_api.calendar_buckets import Interval, bucket_name, bucket_starts_us
from analytics_api.comparison import compared
from analytics_api.reader import Reader, Row
from analytics_api.rollup_levels import MINUTE_US, Levels, cut_at_levels, to_time, to_us
from analytics_api.span_values import span_values
from analytics_api.time_range import TimeRange
from shared.problems import FieldError, Problem

Group = tuple[str | None, str | None, int]
"""Event type and client, None where they do not group; how many groups a rest stands for, 0 for a group of its own."""
CountRow = dict[str, Any]

_MOST_EDGES = 3


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
    top: int | None = None
    """Groups that are kept apart, the largest; all others are one, the rest."""
    compares: bool = False
    """Whether each row is compared with the same span, one length of the range before."""


@dataclass(frozen=True, slots=True)
class EventCounts:
    """The answer. ``source`` is ``rollups``, or ``rollups+events`` when parts of minutes had to be counted."""

    rows: list[CountRow]
    source: str

    @property
    def total(self) -> int:
        return sum(row["count"] for row in self.rows)

    @property
    def previous_total(self) -> int:
        """Of a question that compares."""
        return sum(row["previous"]["count"] for row in self.rows)


async def count_events(reader: Reader, question: CountQuestion, max_rows: int) -> EventCounts:
    """Count. Raises Problem: invalid-query when the answer would have more than ``max_rows``, or as ``Reader.rows``."""
    labels = _labels(question, max_rows)
    bounds_us = _bounds(question, labels)
    levels = cut_at_levels(bounds_us)
    row_limit = (max_rows + 1) * (1 + question.compares)
    counted = await reader.rows("count_events", _values(question, bounds_us, levels) | {"row_limit": row_limit})
    if len(counted) == row_limit:
        raise _too_many(max_rows)
    rows = _rows(question, labels, counted, max_rows)
    if question.interval is None:
        rows.sort(key=_largest_first)
    return EventCounts(rows, levels.source)


def _labels(question: CountQuestion, max_rows: int) -> list[int]:
    """The first moments of the buckets; without an interval all is one."""
    if question.interval is None:
        return [to_us(question.asked.start)]
    span = question.asked.end - question.asked.start
    if question.compares and to_us(question.asked.end) % MINUTE_US != to_us(question.asked.start) % MINUTE_US:
        detail = (
            f"'compare' with 'interval' needs a range of whole minutes, and this one is {span.total_seconds()} s long"
        )
        raise Problem("invalid-query", detail, errors=[FieldError("/query/from", detail)])
    starts = bucket_starts_us(question.asked, question.interval, question.zone, max_rows + 1)
    if len(starts) > max_rows:
        raise _too_many(max_rows)
    return starts


def _bounds(question: CountQuestion, labels: list[int]) -> list[int]:
    """Where buckets meet, with both ends of the range; those of the range before come first."""
    bounds = [to_us(question.asked.start), *labels[1:]]
    end = to_us(question.asked.end)
    if question.compares:
        length = end - bounds[0]
        bounds = [bound - length for bound in bounds] + bounds
    return [*bounds, end]


def _values(question: CountQuestion, bounds_us: list[int], levels: Levels) -> dict[str, Any]:
    values: dict[str, Any] = {
        **span_values(levels, bounds_us),
        "client_id": question.client_id,
        "event_type": question.event_type,
        "type_key": None if question.by_type and question.event_type is None else question.event_type or "",
        "by_type": question.by_type,
        "by_client": question.by_client,
        "top": question.top,
        "ranked_from": (len(bounds_us) - 1) // 2 if question.compares else 0,
    }
    edges = [*levels.edges, *[(bounds_us[0], bounds_us[0])] * _MOST_EDGES][:_MOST_EDGES]
    for number, (start, end) in enumerate(edges, start=1):
        values |= {f"edge{number}_start": to_time(start), f"edge{number}_end": to_time(end)}
    return values


def _rows(question: CountQuestion, labels: list[int], counted: list[Row], max_rows: int) -> list[CountRow]:
    """Every group in every bucket, zeros included. A type that was asked for has its series even without an event."""
    counts: dict[Group, dict[int, int]] = {}
    for row in counted:
        counts.setdefault((row["event_type"], row["client_id"], row["rest_of"]), {})[row["bucket"]] = row["count"]
    if not counts and _names_its_group(question):
        counts = {_named_group(question): {}}
    if len(counts) * len(labels) > max_rows:
        raise _too_many(max_rows)
    groups = [(_named(question, group), counts[group]) for group in sorted(counts, key=_by_name)]
    return list(_cells(question, labels, groups))


def _cells(
    question: CountQuestion, labels: list[int], groups: list[tuple[CountRow, dict[int, int]]]
) -> Iterator[CountRow]:
    buckets = len(labels)
    for place, label in enumerate(labels):
        bucket = {} if question.interval is None else {"bucket": bucket_name(label, question.zone)}
        for named, counts in groups:
            if question.compares:
                count, previous = counts.get(place + buckets, 0), counts.get(place, 0)
                yield {**named, **bucket, "count": count, **compared({"count": count}, {"count": previous})}
            else:
                yield {**named, **bucket, "count": counts.get(place, 0)}


def _names_its_group(question: CountQuestion) -> bool:
    if question.interval is None:
        return not (question.by_type or question.by_client)
    has_type = question.event_type is not None or not question.by_type
    return has_type and (question.client_id is not None or not question.by_client)


def _named_group(question: CountQuestion) -> Group:
    return (question.event_type if question.by_type else None, question.client_id if question.by_client else None, 0)


def _named(question: CountQuestion, group: Group) -> CountRow:
    event_type, client_id, rest_of = group
    named: CountRow = {}
    if question.by_type:
        named["event_type"] = event_type
    if question.by_client:
        named["client_id"] = client_id
    if question.top is not None:
        named["rest_of"] = rest_of
    return named


def _by_name(group: Group) -> tuple[int, str, str]:
    """The rest is last."""
    return group[2], group[0] or "", group[1] or ""


def _largest_first(row: CountRow) -> tuple[int, int, int, str, str]:
    kept = row.get("rest_of", 0)
    before = row["previous"]["count"] if "previous" in row else 0
    return kept, -row["count"], -before, row.get("event_type") or "", row.get("client_id") or ""


def _too_many(max_rows: int) -> Problem:
    detail = (
        f"the answer would have more than {max_rows} rows: narrow 'from' and 'to', take a longer 'interval', or 'top'"
    )
    return Problem("invalid-query", detail, errors=[FieldError("/query/interval", detail)])
