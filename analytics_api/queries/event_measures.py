"""Answers a question: from rollups where they know all that is asked, else from the events."""

from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final

from psycopg import sql

from analytics_api.calendar_buckets import bucket_starts
from analytics_api.event_counts import CountQuestion, EventCounts, count_events
from analytics_api.queries.answer_rows import Cell, Group, Line, Period, groups_of, lines, too_many_rows
from analytics_api.queries.bindings import Bindings
from analytics_api.queries.conditions import condition_sql
from analytics_api.queries.measures import FieldUse, Measure, aggregate_sql
from analytics_api.queries.payload_path import keys_of
from analytics_api.queries.question import Question
from analytics_api.queries.simple_values import group_sql, is_left_out_sql, number_sql, simple_sql
from analytics_api.reader import Reader, Row
from analytics_api.time_range import TimeRange
from shared.sql_files import load_sql

_USES: Final = {FieldUse.NUMBER: number_sql, FieldUse.SIMPLE: simple_sql}


@dataclass(frozen=True, slots=True)
class MeasuredRange:
    """The rows over one range."""

    asked: TimeRange
    total: int
    lines: list[Line]


@dataclass(frozen=True, slots=True)
class Measured:
    """An answer. ``ignored``: by measure, the events whose value is there and cannot be used."""

    source: str
    present: MeasuredRange
    previous: MeasuredRange | None
    ignored: dict[str, int]


async def measure_events(reader: Reader, question: Question, max_rows: int) -> Measured:
    """Answer. Raises Problem: invalid-query when there would be more than ``max_rows``, or as ``Reader.rows``."""
    ranges = [question.asked]
    if question.compares:
        ranges.append(previous_range(question.asked))
    periods = [Period(_starts(question, asked, max_rows)) for asked in ranges]
    if question.is_of_rollups:
        source, ignored = await _count(reader, question, ranges, periods, max_rows), {}
    else:
        source, ignored = "events", await _measure(reader, question, ranges, periods, max_rows)
    groups = groups_of(question, periods)
    measured = [
        MeasuredRange(asked, period.total, lines(question, period, groups, max_rows))
        for asked, period in zip(ranges, periods, strict=True)
    ]
    return Measured(source, measured[0], measured[1] if question.compares else None, ignored)


def previous_range(asked: TimeRange) -> TimeRange:
    """The time of the same length that ends where the range begins."""
    return TimeRange(asked.start - (asked.end - asked.start), asked.start)


def _starts(question: Question, asked: TimeRange, max_rows: int) -> list[datetime]:
    if question.interval is None:
        return [asked.start]
    starts = list(islice(bucket_starts(asked, question.interval, question.zone), max_rows + 1))
    if len(starts) > max_rows:
        raise too_many_rows(max_rows)
    return starts


async def _count(
    reader: Reader, question: Question, ranges: list[TimeRange], periods: list[Period], max_rows: int
) -> str:
    """Fill the periods from rollups; returns the source."""
    sources = set()
    for asked, period in zip(ranges, periods, strict=True):
        counts = await count_events(reader, _count_question(question, asked), max_rows)
        period.cells += _cells_of_counts(question, period, counts)
        sources.add(counts.source)
    if question.top is not None:
        _fold_rest(question.top, periods)
    return max(sources, key=len)


def _count_question(question: Question, asked: TimeRange) -> CountQuestion:
    return CountQuestion(
        asked=asked,
        client_id=question.client_id,
        event_type=question.event_type,
        by_type="event_type" in question.groups,
        by_client="client_id" in question.groups,
        interval=question.interval,
        zone=question.zone,
    )


def _cells_of_counts(question: Question, period: Period, counts: EventCounts) -> list[Cell]:
    buckets = {start.astimezone(question.zone).isoformat(): number for number, start in enumerate(period.starts)}
    return [
        Cell(
            Group(event_type=row.get("event_type") or "", client_id=row.get("client_id") or ""),
            buckets[row["bucket"]] if question.interval else 0,
            {"count": row["count"]},
        )
        for row in counts.rows
        if row["count"]
    ]


def _fold_rest(top: int, periods: list[Period]) -> None:
    ranks: dict[Group, int] = {}
    for number, period in enumerate(periods):
        for cell in period.cells:
            ranks[cell.group] = ranks.get(cell.group, 0) + (cell.values["count"] if number == 0 else 0)
    kept = set(sorted(ranks, key=lambda group: (-ranks[group], group))[:top])
    rest = Group(rest_of=len(ranks) - len(kept))
    for period in periods:
        folded: dict[tuple[Group, int], int] = {}
        for cell in period.cells:
            place = (cell.group if cell.group in kept else rest, cell.bucket)
            folded[place] = folded.get(place, 0) + cell.values["count"]
        period.cells = [Cell(group, bucket, {"count": count}) for (group, bucket), count in folded.items()]


async def _measure(
    reader: Reader, question: Question, ranges: list[TimeRange], periods: list[Period], max_rows: int
) -> dict[str, int]:
    """Fill the periods from the events, in one statement; returns what was ignored in the first one."""
    # Periods follow one another, the present one last; its first bucket may begin before it, where the other one is.
    ascending = list(zip(ranges, periods, strict=True))[::-1]
    starts = [max(start, asked.start) for asked, period in ascending for start in period.starts]
    present = len(starts) - len(periods[0].starts)
    statement, values = _statement(question)
    values |= {
        "start": ranges[-1].start,
        "end": question.asked.end,
        "client_id": question.client_id,
        "event_type": question.event_type,
        "starts": starts,
        "present": present,
        "top": question.top,
        "row_limit": max_rows + 1,
    }
    rows = await reader.rows(statement, values)
    if len(rows) > max_rows:
        raise too_many_rows(max_rows)
    ignored = {measure.name: 0 for measure in question.measures}
    for row in rows:
        is_present = row["bucket"] >= present
        period = periods[0] if is_present else periods[-1]
        period.cells.append(_cell(question, row, row["bucket"] - (present if is_present else 0)))
        if is_present:
            for number, measure in enumerate(question.measures):
                ignored[measure.name] += row[f"ignored_{number}"]
    return ignored


def _cell(question: Question, row: Row, bucket: int) -> Cell:
    named = (row["event_type"], row["client_id"], row["value"])
    group = Group(row["rest_of"]) if row["rest_of"] else Group(0, *named)
    measured = {measure.name: row[f"measure_{number}"] for number, measure in enumerate(question.measures)}
    return Cell(group, bucket, {"count": row["count"], **measured})


def _statement(question: Question) -> tuple[sql.Composed, dict[str, Any]]:
    bindings = Bindings()
    columns, aggregates = _measured_columns(question.measures, bindings)
    field = question.group_field
    template = "measure" if question.top is None else "measure_top"
    statement = sql.SQL(load_sql("analytics_api.queries", template)).format(
        conditions=condition_sql(question.condition, bindings),
        types=sql.SQL("event_type" if "event_type" in question.groups else "''::text COLLATE \"C\""),
        clients=sql.SQL("client_id" if "client_id" in question.groups else "''::text COLLATE \"C\""),
        values=sql.SQL("'null'::jsonb") if field is None else group_sql(_at(keys_of(field), bindings)),
        columns=columns,
        aggregates=aggregates,
    )
    return statement, bindings.values


def _measured_columns(measures: tuple[Measure, ...], bindings: Bindings) -> tuple[sql.Composed, sql.Composed]:
    """What the inner query makes of each field, and what the outer one of that; a field is read once for each use."""
    numbers: dict[tuple[FieldUse, tuple[str, ...]], int] = {}
    columns, aggregates = [], []
    for place, measure in enumerate(measures):
        read = (measure.use, measure.keys)
        if read not in numbers:
            numbers[read] = len(numbers)
            value = _at(measure.keys, bindings)
            used = _USES[measure.use](value)
            names = (sql.Identifier(f"field_{numbers[read]}"), sql.Identifier(f"left_out_{numbers[read]}"))
            columns.append(
                sql.SQL(", {} AS {}, {} AS {}").format(used, names[0], is_left_out_sql(value, used), names[1])
            )
        column = sql.Identifier(f"field_{numbers[read]}")
        left_out = sql.Identifier(f"left_out_{numbers[read]}")
        aggregates.append(
            sql.SQL(", {} AS {}, count(*) FILTER (WHERE {}) AS {}").format(
                aggregate_sql(measure, column, bindings),
                sql.Identifier(f"measure_{place}"),
                left_out,
                sql.Identifier(f"ignored_{place}"),
            )
        )
    return sql.Composed(columns), sql.Composed(aggregates)


def _at(keys: list[str] | tuple[str, ...], bindings: Bindings) -> sql.Composed:
    return sql.SQL("payload #> {}::text[]").format(bindings.bind(list(keys)))
