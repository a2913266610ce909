"""Buckets as clocks on a wall show them."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_api.calendar_buckets import Interval, bucket_starts, zone_names
from analytics_api.time_range import TimeRange

ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu",
    "America/Sao_Paulo", "Pacific/Apia", "Africa/Monrovia", "America/Havana", "Antarctica/Troll", "America/Toronto",
)  # fmt: skip
LONGEST = {
    Interval.MINUTE: timedelta(minutes=1),
    Interval.HOUR: timedelta(hours=1, minutes=1),
    Interval.DAY: timedelta(hours=26),
    Interval.WEEK: timedelta(days=8),
    Interval.MONTH: timedelta(days=32),
}
EARLIEST = datetime(1915, 1, 1, tzinfo=UTC)
MOMENTS = st.timedeltas(timedelta(0), timedelta(days=45_000)).map(lambda after: EARLIEST + after)


def starts(start: str, end: str, interval: Interval, zone: str) -> list[str]:
    asked = TimeRange(datetime.fromisoformat(start), datetime.fromisoformat(end))
    return [moment.astimezone(ZoneInfo(zone)).isoformat() for moment in bucket_starts(asked, interval, ZoneInfo(zone))]


@settings(max_examples=400, deadline=None)
@given(MOMENTS, st.sampled_from(Interval), st.sampled_from(ZONES), st.floats(0.000001, 20))
def test_buckets_follow_one_another_and_cover_the_range(
    start: datetime, interval: Interval, zone: str, lengths: float
) -> None:
    asked = TimeRange(start, start + LONGEST[interval] * lengths)
    found = list(bucket_starts(asked, interval, ZoneInfo(zone)))
    assert found[0] <= asked.start
    assert len(found) == 1 or found[1] > asked.start
    assert found[-1] < asked.end
    for earlier, later in pairwise([*found, asked.end]):
        assert timedelta(0) < later - earlier <= LONGEST[interval]
    assert all(moment.second == moment.microsecond == 0 for moment in found)


@settings(max_examples=300, deadline=None)
@given(MOMENTS, st.sampled_from([Interval.DAY, Interval.WEEK, Interval.MONTH]), st.sampled_from(ZONES))
def test_a_bucket_does_not_depend_on_where_the_range_begins(start: datetime, interval: Interval, zone: str) -> None:
    longer = bucket_starts(TimeRange(start - timedelta(days=40), start + timedelta(days=70)), interval, ZoneInfo(zone))
    shorter = bucket_starts(TimeRange(start, start + timedelta(days=70)), interval, ZoneInfo(zone))
    assert set(shorter) <= set(longer)


def test_where_clocks_skip_midnight_the_day_begins_after_the_gap() -> None:
    found = starts("2018-11-03T12:00:00+00:00", "2018-11-05T12:00:00+00:00", Interval.DAY, "America/Sao_Paulo")
    assert found == ["2018-11-03T00:00:00-03:00", "2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"]


def test_where_midnight_comes_twice_the_day_begins_at_the_first() -> None:
    found = starts("2010-11-06T12:00:00+00:00", "2010-11-08T12:00:00+00:00", Interval.DAY, "America/St_Johns")
    assert found == ["2010-11-06T00:00:00-02:30", "2010-11-07T00:00:00-02:30", "2010-11-08T00:00:00-03:30"]


def test_a_date_that_never_was_has_no_bucket() -> None:
    found = starts("2011-12-29T20:00:00+00:00", "2011-12-31T20:00:00+00:00", Interval.DAY, "Pacific/Apia")
    assert [start[:10] for start in found] == ["2011-12-29", "2011-12-31", "2012-01-01"]


def test_an_hour_never_spans_a_change_of_the_offset() -> None:
    found = starts("2026-04-04T13:30:00+00:00", "2026-04-04T16:40:00+00:00", Interval.HOUR, "Australia/Lord_Howe")
    assert found == [
        "2026-04-05T00:00:00+11:00",
        "2026-04-05T01:00:00+11:00",
        "2026-04-05T01:30:00+10:30",
        "2026-04-05T02:00:00+10:30",
        "2026-04-05T03:00:00+10:30",
    ]


@pytest.mark.parametrize("name", ["localtime", "posixrules", "../etc/passwd", "", "Europe"])
def test_only_iana_names_are_zones(name: str) -> None:
    assert name not in zone_names()
    assert "Europe/Berlin" in zone_names()
