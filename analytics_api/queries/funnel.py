"""Funnels: of those who took the first step, who took the next ones in order, within a window, and how fast.

A key enters with each event of the first step. It has come as far as its furthest attempt: a chain of different events,
each behind the one before by ``occurred_at``, then ``event_id``, the last at most ``window`` after the first. Times are
those of the first attempt to come that far; of its chains with the same end, of the one that began last.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg import sql

from analytics_api.queries.bindings import Bindings
from analytics_api.queries.selections import Chosen, any_sql, check_picked, key_sql, selection_sql
from analytics_api.reader import Reader
from analytics_api.time_range import TimeRange
from shared.sql_files import load_sql


@dataclass(frozen=True, slots=True)
class FunnelQuestion:
    """At least two steps."""

    asked: TimeRange
    client_id: str | None
    by: str
    window: timedelta
    steps: tuple[Chosen, ...]


@dataclass(frozen=True, slots=True)
class Funnel:
    """By step: how many keys came to it, and the median of the seconds to the next. ``ignored`` events have no key."""

    entered: list[int]
    median_seconds: list[float | None]
    ignored: int


async def measure_funnel(reader: Reader, question: FunnelQuestion, max_picked: int) -> Funnel:
    """Answer. Raises Problem: invalid-query for more events than ``max_picked``, or as ``Reader.rows``."""
    bindings = Bindings()
    statement = _statement(question, bindings)
    values: dict[str, Any] = {
        **bindings.values,
        "start": question.asked.start,
        "end": question.asked.end,
        "client_id": question.client_id,
        "pick_limit": max_picked + 1,
        "step_count": len(question.steps),
        "window": question.window,
    }
    rows = await reader.rows(statement, values)
    check_picked(rows[0]["picked"], max_picked)
    return Funnel([row["entered"] for row in rows], [row["median_seconds"] for row in rows], rows[0]["ignored"])


def _statement(question: FunnelQuestion, bindings: Bindings) -> sql.Composed:
    steps = [selection_sql(step, bindings) for step in question.steps]
    numbers = range(1, len(steps) + 1)
    flags = [sql.SQL(", {} IS TRUE AS {}").format(step, _name("is", n)) for n, step in zip(numbers, steps, strict=True)]
    longest_first = [_name("chain", number) for number in reversed(numbers)]
    return sql.SQL(load_sql("analytics_api.queries", "funnel")).format(
        key=key_sql(question.by, bindings),
        flags=sql.Composed(flags),
        any_step=any_sql(steps),
        steps=sql.Composed([_step(number) for number in numbers[1:]]),
        last=_name("step", len(steps)),
        chain=sql.SQL("coalesce({})").format(sql.SQL(", ").join(longest_first)),
    )


def _step(number: int) -> sql.Composed:
    return sql.SQL(load_sql("analytics_api.queries", "funnel_step")).format(
        step=_name("step", number),
        previous=_name("step", number - 1),
        flag=_name("is", number),
        chain=_name("chain", number),
        before=_name("chain", number - 1),
    )


def _name(kind: str, number: int) -> sql.Identifier:
    return sql.Identifier(f"{kind}_{number}")
