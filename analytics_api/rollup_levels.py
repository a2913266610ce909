"""Cutting a range into days, hours and minutes that rollups know, and the parts of minutes that only events do.

All in UTC: a day of another zone is cut into hours, or minutes where its offset has them. Times are microseconds
since 1970.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
MINUTE_US: Final = 60_000_000
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US

Span = tuple[int, int]
"""Start and end, half-open."""


def to_us(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def to_time(time_us: int) -> datetime:
    """The moment, in UTC."""
    return _EPOCH + time_us * _MICROSECOND


@dataclass(slots=True)
class Spans:
    """Spans in ascending order, those that touch joined."""

    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def add(self, start: int, end: int) -> None:
        """Add what lies behind all others; an empty span is none."""
        if start >= end:
            return
        if self.ends and self.ends[-1] == start:
            self.ends[-1] = end
        else:
            self.starts.append(start)
            self.ends.append(end)

    def __iter__(self) -> Iterator[Span]:
        return zip(self.starts, self.ends, strict=True)


@dataclass(slots=True)
class Levels:
    """A range cut at levels: together its spans are the range, and none overlaps another."""

    days: Spans = field(default_factory=Spans)
    hours: Spans = field(default_factory=Spans)
    minutes: Spans = field(default_factory=Spans)
    whole: Spans = field(default_factory=Spans)
    """The three above together."""
    edges: list[Span] = field(default_factory=list)
    """Parts of minutes, at most one a minute."""

    def without_hours(self) -> "Levels":
        """The same with minutes in the place of hours."""
        minutes = Spans()
        for start, end in sorted([*self.hours, *self.minutes]):
            minutes.add(start, end)
        return Levels(self.days, Spans(), minutes, self.whole, self.edges)

    @property
    def source(self) -> str:
        """What an answer from these levels is made of."""
        return "rollups+events" if self.edges else "rollups"


def cut_at_levels(bounds_us: Sequence[int]) -> Levels:
    """Cut the range from the first bound to the last so that no span has another bound inside, into the coarsest
    levels that fit; but an edge may have one, for events are told apart one by one.
    """
    levels = Levels()
    for start, end in pairwise(bounds_us):
        if not (start % HOUR_US or end % HOUR_US):  # what most ask, many times over
            levels.whole.add(start, end)
            _cut_hours(levels, start, end)
            continue
        first_minute, last_minute = -(-start // MINUTE_US) * MINUTE_US, end // MINUTE_US * MINUTE_US
        if first_minute > last_minute:
            _add_edge(levels.edges, start, end)
            continue
        _add_edge(levels.edges, start, first_minute)
        levels.whole.add(first_minute, last_minute)
        _cut_minutes(levels, first_minute, last_minute)
        _add_edge(levels.edges, last_minute, end)
    return levels


def _cut_minutes(levels: Levels, start: int, end: int) -> None:
    first, last = -(-start // HOUR_US) * HOUR_US, end // HOUR_US * HOUR_US
    if first >= last:
        levels.minutes.add(start, end)
        return
    levels.minutes.add(start, first)
    _cut_hours(levels, first, last)
    levels.minutes.add(last, end)


def _cut_hours(levels: Levels, start: int, end: int) -> None:
    first, last = -(-start // DAY_US) * DAY_US, end // DAY_US * DAY_US
    if first >= last:
        levels.hours.add(start, end)
        return
    levels.hours.add(start, first)
    levels.days.add(first, last)
    levels.hours.add(last, end)


def _add_edge(edges: list[Span], start: int, end: int) -> None:
    if start >= end:
        return
    if edges and edges[-1][1] == start and start % MINUTE_US:
        edges[-1] = (edges[-1][0], end)
    else:
        edges.append((start, end))
