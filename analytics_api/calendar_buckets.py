"""Minutes, hours, days, weeks and months as clocks on a wall show them in a time zone.

A bucket is known by its first moment. Days have 23 or 25 hours where clocks change; an hour never spans a change of the
offset, so the hour that is shown twice in autumn is two buckets. Weeks begin on Monday, as in ISO 8601.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cache
from itertools import islice
from zoneinfo import ZoneInfo, available_timezones

from analytics_api.rollup_levels import DAY_US, HOUR_US, MINUTE_US, to_us
from analytics_api.time_range import TimeRange, floor_minute

_HOUR = timedelta(hours=1)
_SECOND = timedelta(seconds=1)


class Interval(StrEnum):
    """The length of a bucket."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


_UTC_STEPS_US = {Interval.MINUTE: MINUTE_US, Interval.HOUR: HOUR_US, Interval.DAY: DAY_US}
"""Buckets of the zone that most ask for, which has no changes of the clock."""


@cache
def zone_names() -> frozenset[str]:
    """The IANA names this system knows; ``localtime`` and the like are not among them."""
    return frozenset(available_timezones()) - {"localtime", "posixrules", "Factory"}


def bucket_starts_us(asked: TimeRange, interval: Interval, zone: ZoneInfo, most: int) -> list[int]:
    """The first ``most`` of ``bucket_starts``, in microseconds since 1970."""
    step_us = _UTC_STEPS_US.get(interval) if zone.key == "UTC" else None
    if step_us is None:
        return [to_us(start) for start in islice(bucket_starts(asked, interval, zone), most)]
    start_us = to_us(asked.start)
    return list(islice(range(start_us - start_us % step_us, to_us(asked.end), step_us), most))


def bucket_name(start_us: int, zone: ZoneInfo) -> str:
    """A bucket's first moment as the clocks of the zone show it."""
    start = datetime.fromtimestamp(start_us // 1_000_000, UTC)
    return (start if zone.key == "UTC" else start.astimezone(zone)).isoformat()


def bucket_starts(asked: TimeRange, interval: Interval, zone: ZoneInfo) -> Iterator[datetime]:
    """The first moments, in UTC, of all buckets that share a moment with the range: without holes, ascending.

    All lie on whole minutes of UTC, as rollups do: offsets of broken minutes, in use until 1972, are cut off.
    """
    match interval:
        case Interval.MINUTE:
            moments = _steps(floor_minute(asked.start), timedelta(minutes=1))
        case Interval.HOUR:
            moments = _hours(asked.start, zone)
        case _:
            moments = _dates(asked.start, interval, zone)
    current = None
    for moment in map(floor_minute, moments):
        if moment >= asked.end:
            break
        # A date that was skipped, or that a clock going back past midnight ended before the range, has no moment in it.
        if current is not None and moment > max(current, asked.start):
            yield current
        current = moment
    if current is not None:
        yield current


def _steps(start: datetime, step: timedelta) -> Iterator[datetime]:
    while True:
        yield start
        start += step


def _hours(start: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    local = start.astimezone(zone)
    into_hour = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    moment = _change_between(start - into_hour, start, zone) or start - into_hour
    while True:
        yield moment
        local = moment.astimezone(zone)
        strikes = moment + _HOUR - timedelta(minutes=local.minute, seconds=local.second)
        moment = _change_between(moment, strikes, zone) or strikes


def _change_between(before: datetime, after: datetime, zone: ZoneInfo) -> datetime | None:
    """The first moment of ``after``'s offset, if it is not ``before``'s. Halves; changes are on seconds."""
    offset = _offset(after, zone)
    if _offset(before, zone) == offset:
        return None
    old, new = int(before.timestamp()), int(after.timestamp())
    while new - old > 1:
        middle = (old + new) // 2
        if _offset(datetime.fromtimestamp(middle, UTC), zone) == offset:
            new = middle
        else:
            old = middle
    return datetime.fromtimestamp(new, UTC)


def _dates(start: datetime, interval: Interval, zone: ZoneInfo) -> Iterator[datetime]:
    day = start.astimezone(zone).date()
    if interval is Interval.WEEK:
        day -= timedelta(days=day.weekday())
    elif interval is Interval.MONTH:
        day = day.replace(day=1)
    while True:
        yield _first_moment(day, zone)
        day = _next(day, interval)


def _next(day: date, interval: Interval) -> date:
    if interval is Interval.MONTH:
        return (day.replace(day=28) + timedelta(days=4)).replace(day=1)
    return day + timedelta(days=7 if interval is Interval.WEEK else 1)


def _first_moment(day: date, zone: ZoneInfo) -> datetime:
    """When a date begins: the first of two midnights, or the end of the gap that swallowed midnight."""
    midnight = datetime.combine(day, time(), zone)  # fold=0: the first of two
    moment = midnight.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return moment
    # In a gap the offsets before and after it give the two moments around the change; see PEP 495.
    other = midnight.replace(fold=1).astimezone(UTC)
    earlier, later = sorted((moment, other))
    return _change_between(earlier - _SECOND, later, zone) or moment


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta | None:
    return moment.astimezone(zone).utcoffset()
