"""The range of time a question is about: half-open, in UTC, to the microsecond."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.problems import FieldError, Problem

DEFAULT_SPAN: Final = timedelta(hours=24)
_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class TimeRange:
    """``from <= t < to``."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class MinuteParts:
    """A range cut at minutes: ``whole`` minutes, which rollups know, and the ``edges`` before and behind, which they
    do not. Together they are the range, and none overlaps another; an empty part begins where it ends.
    """

    whole: TimeRange
    head: TimeRange
    tail: TimeRange

    @property
    def has_edges(self) -> bool:
        return self.head.start < self.head.end or self.tail.start < self.tail.end


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


def cut_at_minutes(asked: TimeRange) -> MinuteParts:
    """See ``MinuteParts``. A range inside one minute is all head."""
    first_whole = floor_minute(asked.start + _MINUTE - timedelta(microseconds=1))
    last_whole = floor_minute(asked.end)
    if first_whole > last_whole:
        nothing = TimeRange(asked.end, asked.end)
        return MinuteParts(whole=nothing, head=asked, tail=nothing)
    return MinuteParts(
        whole=TimeRange(first_whole, last_whole),
        head=TimeRange(asked.start, first_whole),
        tail=TimeRange(last_whole, asked.end),
    )
