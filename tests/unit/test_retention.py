"""What is past retention, when it is dropped, and which clocks are believed: decisions without a database."""

from datetime import UTC, date, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_processor.clock_guard import LEAP, TOLERANCE, WATCHED, ClockSeen, distrust, see
from stream_processor.daily_schedule import is_due, last_due
from stream_processor.retention import (
    Partition,
    RetentionPolicy,
    at_most_days,
    days_between,
    expired,
    floor_day,
    is_expired,
)

DAY = timedelta(days=1)
NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
MOMENTS = st.integers(0, 7_000_000_000).map(
    lambda seconds: datetime(1990, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
KEEP = st.integers(1, 5000)


def partition(day: datetime, parent: str = "events") -> Partition:
    return Partition(parent, f"{parent}_{day:%Y%m%d}", day, day + DAY)


@given(MOMENTS, KEEP, st.integers(-10, 6000), ZONES, ZONES, st.integers(0, 86_400_000_000 - 1))
def test_nothing_that_a_dropped_day_can_hold_is_within_retention_in_any_zone(
    now: datetime, keep_days: int, age_days: int, here: timezone, there: timezone, within_us: int
) -> None:
    day = floor_day(now) - age_days * DAY
    one = Partition("events", "events_x", day.astimezone(there), (day + DAY).astimezone(there))
    youngest = day + timedelta(microseconds=within_us)
    if is_expired(one, keep_days, now.astimezone(here)):
        assert youngest < now - keep_days * DAY
    elif age_days > keep_days:
        pytest.fail("a day whose end is past retention stays")


@given(MOMENTS, KEEP)
def test_what_the_gateway_still_accepts_is_never_in_a_day_that_goes(now: datetime, keep_days: int) -> None:
    oldest_accepted = now - keep_days * DAY
    assert not is_expired(partition(floor_day(oldest_accepted)), keep_days, now)


@pytest.mark.parametrize(
    ("start", "end"),
    [(None, NOW - 1000 * DAY), (NOW - 1000 * DAY, None), (None, None), (NOW - 1000 * DAY, NOW - 500 * DAY)],
)
def test_a_partition_that_is_not_a_day_never_goes(start: datetime | None, end: datetime | None) -> None:
    assert not is_expired(Partition("events", "odd", start, end), 1, NOW)


def test_a_retention_of_no_days_counts_as_one() -> None:
    assert not is_expired(partition(floor_day(NOW)), 0, NOW)
    assert not is_expired(partition(floor_day(NOW)), -500, NOW)


def test_each_table_has_its_own_retention_and_the_oldest_goes_first() -> None:
    days = [partition(floor_day(NOW) - n * DAY, parent) for parent in ("audit_logs", "events") for n in range(5)]
    found = expired(days, RetentionPolicy(event_days=2, audit_days=3), NOW)
    assert [one.name for one in found] == ["audit_logs_20261118", "events_20261118", "events_20261119"]


def test_one_run_by_itself_drops_only_so_many_days_of_each_table() -> None:
    days = [
        partition(floor_day(NOW) - n * DAY, parent) for n in range(300, 200, -1) for parent in ("events", "audit_logs")
    ]
    assert [one.name for one in at_most_days(days, 2)] == [one.name for one in days[:4]]


@given(MOMENTS, KEEP, KEEP)
def test_rollups_outlive_their_events_whatever_the_settings_say(
    now: datetime, event_days: int, rollup_days: int
) -> None:
    policy = RetentionPolicy(event_days=event_days, rollup_days=rollup_days)
    before = policy.rollups_before(now)
    assert before == floor_day(before)
    assert before <= now - event_days * DAY
    assert is_expired(partition(before - DAY), event_days, now), "the rollup of a day that stays would go"


@given(MOMENTS, st.times(), MOMENTS)
def test_a_daily_task_is_due_once_between_two_times_of_its(now: datetime, at: time, last_done: datetime) -> None:
    due = last_due(now, at)
    assert due <= now < due + DAY
    assert due.timetz().replace(tzinfo=None) == at
    assert is_due(last_done, now, at) == (last_done < due)
    assert not is_due(now, now, at)
    assert is_due(now, now + DAY, at)


def test_a_task_that_was_missed_is_due_late() -> None:
    assert is_due(NOW - 3 * DAY, NOW + timedelta(hours=5), time(3))
    assert not is_due(NOW, NOW + timedelta(hours=23), time(3))


def test_days_are_counted_both_ends_included() -> None:
    assert days_between(date(2026, 2, 27), date(2026, 3, 1)) == [date(2026, 2, 27), date(2026, 2, 28), date(2026, 3, 1)]


@given(MOMENTS, st.timedeltas(timedelta(days=-4000), timedelta(days=4000)))
def test_clocks_that_differ_are_not_believed(server: datetime, difference: timedelta) -> None:
    assert (distrust(server + difference, server, None) is not None) == (abs(difference) > TOLERANCE)


@given(MOMENTS, st.timedeltas(LEAP + timedelta(seconds=1), timedelta(days=36_500)), st.integers(0, 86_399))
def test_a_clock_that_leaps_ahead_is_watched_for_a_day(before: datetime, leap: timedelta, later_seconds: int) -> None:
    after = before + leap
    assert distrust(after, after, ClockSeen(before)) is not None
    seen = see(ClockSeen(before), after)
    later = after + timedelta(seconds=later_seconds)
    assert distrust(later, later, see(seen, later)) is not None
    assert distrust(after + WATCHED, after + WATCHED, see(seen, after + timedelta(hours=12))) is None


@given(MOMENTS, st.timedeltas(LEAP + timedelta(seconds=1), timedelta(days=36_500)))
def test_a_clock_that_is_set_back_in_time_has_dropped_nothing_and_is_watched_again(
    right: datetime, leap: timedelta
) -> None:
    seen = see(see(ClockSeen(right), right + leap), right + timedelta(hours=3))
    assert distrust(right + timedelta(hours=3), right + timedelta(hours=3), seen) is not None
    assert seen == ClockSeen(right + timedelta(hours=3), right + timedelta(hours=3))


@given(MOMENTS, st.lists(st.timedeltas(-TOLERANCE, LEAP), max_size=30))
def test_a_clock_that_goes_on_evenly_is_always_believed(start: datetime, steps: list[timedelta]) -> None:
    seen, now = see(None, start), start
    for step in steps:
        now = max(now + step, seen.last - TOLERANCE)
        assert distrust(now, now, seen) is None
        seen = see(seen, now)
