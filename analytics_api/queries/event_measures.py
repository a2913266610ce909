"""Answers a question: from rollups where they know all that is asked, else from the events."""

from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final

from psycopg import sql

from analytics_api.calendar_buckets import bucket_starts
from analytics_api.comparison import previous_range
from analytics_api.event_counts import CountQuestion, count_events
from analytics_api.queries.answer_rows import Cell, Group, Line, Period, lines, too_many_rows
from analytics_api.queries.bindings import Bindings
from analytics_api.queries.conditions import condition_sql
from analytics_api.queries.measures import FieldUse, Measure, aggregate_sql
from analytics_api.queries.payload_path import keys_of
from analytics_api.queries.question import Question
from analytics_api.queries.simple_values import group_sql, is_left_out_sql, number_sql, simple_sql
from analytics_api.reader import Reader, Row
from shared.sql_files import load_sql

_USES: Final = {FieldUse.NUMBER: number_sql, FieldUse.SIMPLE: simple_sql}


@dataclass(frozen=True, slots=True)
class Measured:
    """An answer. ``ignored``: by measure, the events of the range whose value is there and cannot be used."""

    source: str
    total: int
    previous_total: int
    lines: list[Line]
    ignored: dict[str, int]


async def measure_events(reader: Reader, question: Question, max_rows: int) -> Measured:
    """Answer. Raises Problem: invalid-query when there would be more than ``max_rows``, or as ``Reader.rows``."""
    present = Period(_starts(question, max_rows))
    previous = _before(question, present) if question.compares else None
    if question.is_of_rollups:
        source, ignored = await _count(reader, question, present, previous, max_rows), {}
    else:
        source, ignored = "events", await _measure(reader, question, present, previous, max_rows)
    rows = lines(question, present, previous, max_rows)
    return Measured(source, present.total, previous.total if previous else 0, rows, ignored)


def _starts(question: Question, max_rows: int) -> list[datetime]:
    if question.interval is None:
        return [question.asked.start]
    starts = list(islice(bucket_starts(question.asked, question.interval, question.zone), max_rows + 1))
    if len(starts) > max_rows:
        raise too_many_rows(max_rows)
    return starts


def _before(question: Question, present: Period) -> Period:
    """The same buckets, one length of the range before: every row has its counterpart, whatever calendars do."""
    length = question.asked.end - question.asked.start
    return Period([start - length for start in present.starts])


async def _count(reader: Reader, question: Question, present: Period, previous: Period | None, max_rows: int) -> str:
    """Fill the periods from rollups; returns the source."""
    counts = await count_events(reader, _count_question(question), max_rows)
    buckets = {start.astimezone(question.zone).isoformat(): number for number, start in enumerate(present.starts)}
    for row in counts.rows:
        group = Group(row.get("rest_of", 0), row.get("event_type") or "", row.get("client_id") or "")
        bucket = buckets[row["bucket"]] if question.interval else 0
        if row["count"]:
            present.cells.append(Cell(group, bucket, {"count": row["count"]}))
        if previous is not None and row["previous"]["count"]:
            previous.cells.append(Cell(group, bucket, row["previous"]))
    return counts.source


def _count_question(question: Question) -> CountQuestion:
    return CountQuestion(
        asked=question.asked,
        client_id=question.client_id,
        event_type=question.event_type,
        by_type="event_type" in question.groups,
        by_client="client_id" in question.groups,
        interval=question.interval,
        zone=question.zone,
        top=question.top,
        compares=question.compares,
    )


async def _measure(
    reader: Reader, question: Question, present: Period, previous: Period | None, max_rows: int
) -> dict[str, int]:
    """Fill the periods from the events, in one statement; returns what was ignored in the present one."""
    # The present follows the time before; its first bucket may begin before it, where the other one is.
    starts = [max(start, question.asked.start) for start in present.starts]
    first = 0
    if previous is not None:
        begin = previous_range(question.asked).start
        starts = [max(start, begin) for start in previous.starts] + starts
        first = len(previous.starts)
    statement, values = _statement(question)
    values |= {
        "start": starts[0],
        "end": question.asked.end,
        "client_id": question.client_id,
        "event_type": question.event_type,
        "starts": starts,
        "present": first,
        "top": question.top,
        "row_limit": max_rows + 1,
    }
    rows = await reader.rows(statement, values)
    if len(rows) > max_rows:
        raise too_many_rows(max_rows)
    ignored = {measure.name: 0 for measure in question.measures}
    for row in rows:
        if previous is not None and row["bucket"] < first:
            previous.cells.append(_cell(question, row, row["bucket"]))
        else:
            present.cells.append(_cell(question, row, row["bucket"] - first))
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
