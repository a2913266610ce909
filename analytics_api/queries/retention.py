"""Retention: keys by the day or week of their first event in the range, and how many of them came back in which.

A key's first event is its first by ``occurred_at``, then ``event_id``; a return is any event of it behind that one.
Period 0 is the cohort's own: those who came back within it.
"""

from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final
from zoneinfo import ZoneInfo

from psycopg import sql

from analytics_api.calendar_buckets import Interval, bucket_starts
from analytics_api.queries.bindings import Bindings
from analytics_api.queries.selections import Chosen, check_picked, key_sql, selection_sql
from analytics_api.reader import Reader
from analytics_api.time_range import TimeRange
from shared.problems import FieldError, Problem
from shared.sql_files import load_sql

MAX_PERIODS: Final = 200


@dataclass(frozen=True, slots=True)
class RetentionQuestion:
    """Who is a member, and what is a return."""

    asked: TimeRange
    client_id: str | None
    by: str
    interval: Interval
    zone: ZoneInfo
    first: Chosen
    returning: Chosen


@dataclass(frozen=True, slots=True)
class Cohort:
    """Those whose first event lies in one period; ``returned`` by period from this one to the range's last."""

    start: datetime
    size: int
    returned: list[int]


@dataclass(frozen=True, slots=True)
class Retention:
    """``ignored`` events have no key."""

    cohorts: list[Cohort]
    ignored: int


async def measure_retention(reader: Reader, question: RetentionQuestion, max_picked: int) -> Retention:
    """Answer. Raises Problem: invalid-query for too many events or periods, or as ``Reader.rows``."""
    starts = list(islice(bucket_starts(question.asked, question.interval, question.zone), MAX_PERIODS + 1))
    if len(starts) > MAX_PERIODS:
        detail = f"must span at most {MAX_PERIODS} periods: narrow it, or take the interval 'week'"
        raise Problem("invalid-query", f"the range {detail}", errors=[FieldError("/body/from", detail)])
    bindings = Bindings()
    statement = sql.SQL(load_sql("analytics_api.queries", "retention")).format(
        key=key_sql(question.by, bindings),
        is_first=selection_sql(question.first, bindings),
        is_return=selection_sql(question.returning, bindings),
    )
    values: dict[str, Any] = {
        **bindings.values,
        "start": question.asked.start,
        "end": question.asked.end,
        "client_id": question.client_id,
        "starts": starts,
        "pick_limit": max_picked + 1,
    }
    rows = await reader.rows(statement, values)
    numbers = {(row["cohort"], row["period"]): row["number"] for row in rows}
    check_picked(numbers[None, 0], max_picked)
    cohorts = [
        Cohort(start, numbers.get((place, None), 0), [numbers.get((place, n), 0) for n in range(len(starts) - place)])
        for place, start in enumerate(starts)
    ]
    return Retention(cohorts, numbers[None, 1])
