"""The range of time a question is about: half-open, in UTC, to the microsecond."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.problems import FieldError, Problem

DEFAULT_SPAN: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class TimeRange:
    """``from <= t < to``."""

    start: datetime
    end: datetime


def resolve_range(start: datetime | None, end: datetime | None, now: datetime | None = None) -> TimeRange:
    """The range that was asked for. Raises Problem invalid-query unless it begins before it ends."""
    end = end or now or datetime.now(UTC)
    start = start or end - DEFAULT_SPAN
    if start >= end:
        detail = "must be before 'to', which is now when it is not given"
        raise Problem("invalid-query", f"'from' {detail}", errors=[FieldError("/query/from", detail)])
    return TimeRange(start, end)


def floor_minute(time: datetime) -> datetime:
    """The beginning of its minute."""
    return time.replace(second=0, microsecond=0)
