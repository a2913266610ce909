"""Counts by type: exact, gap-less, in any time zone."""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.analytics_seed import SeedEvent, at, seed
from tests.analytics_server import AnalyticsUnderTest, serve_analytics

COUNTS = "/api/v1/analytics/events-by-type"
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def api(database_url: str, redis_url: str) -> Iterator[AnalyticsUnderTest]:
    with serve_analytics(database_url, redis_url, max_rows=20_000) as served:
        yield served


def every(step: timedelta, start: datetime, end: datetime) -> list[datetime]:
    return [start + i * step for i in range((end - start) // step)]


def test_counts_each_type_the_largest_first(api: AnalyticsUnderTest) -> None:
    seed(api.database_url, [*(SeedEvent(event_type="a") for _ in range(3)), SeedEvent(event_type="b")])
    answer = api.json(COUNTS, {"from": "2026-03-10T00:00:00Z", "to": "2026-03-11T00:00:00Z"})
    assert answer["rows"] == [{"event_type": "a", "count": 3}, {"event_type": "b", "count": 1}]
    assert answer["total"] == 4
    assert answer["source"] == "rollups"


def test_is_about_the_last_24_hours_when_no_range_is_given(api: AnalyticsUnderTest) -> None:
    now = datetime.now(UTC)
    seed(
        api.database_url,
        [
            SeedEvent(occurred_at=now - timedelta(hours=23, minutes=59)),
            SeedEvent(occurred_at=now - timedelta(seconds=5)),
            SeedEvent(occurred_at=now - timedelta(hours=24, seconds=5)),
        ],
    )
    answer = api.json(COUNTS)
    assert answer["total"] == 2
    assert at(answer["to"]) - at(answer["from"]) == timedelta(hours=24)


def test_groups_by_client_and_type_for_admins(api: AnalyticsUnderTest) -> None:
    seed(api.database_url, [SeedEvent(client_id="a"), SeedEvent(client_id="b"), SeedEvent(client_id="b")])
    range_ = {"from": "2026-03-10T00:00:00Z", "to": "2026-03-11T00:00:00Z"}
    both = api.json(COUNTS, {**range_, "group_by": "event_type,client_id"})["rows"]
    assert both == [
        {"event_type": "order.created", "client_id": "b", "count": 2},
        {"event_type": "order.created", "client_id": "a", "count": 1},
    ]
    assert api.json(COUNTS, {**range_, "group_by": "client_id"})["rows"][0] == {"client_id": "b", "count": 2}
    assert api.json(COUNTS, {**range_, "client_id": "a"})["total"] == 1


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-28", 24), ("2026-03-29", 23), ("2026-10-25", 25), ("2026-10-26", 24)]
)
def test_a_day_has_as_many_hours_as_clocks_show(api: AnalyticsUnderTest, day: str, hours: int) -> None:
    start = datetime.fromisoformat(day).replace(tzinfo=BERLIN)
    end = start + timedelta(days=1)  # wall clock arithmetic
    moments = every(timedelta(minutes=30), start.astimezone(UTC), end.astimezone(UTC))
    seed(api.database_url, [SeedEvent(occurred_at=moment) for moment in moments])
    query = {"from": start.isoformat(), "to": end.isoformat(), "tz": "Europe/Berlin"}
    by_hour = api.json(COUNTS, {**query, "interval": "hour"})["rows"]
    assert [row["count"] for row in by_hour] == [2] * hours
    assert len({row["bucket"] for row in by_hour}) == hours
    by_day = api.json(COUNTS, {**query, "interval": "day"})["rows"]
    assert [(row["bucket"][:10], row["count"]) for row in by_day] == [(day, 2 * hours)]


def test_the_hour_shown_twice_is_two_buckets(api: AnalyticsUnderTest) -> None:
    seed(api.database_url, [SeedEvent(occurred_at=at("2026-10-25T00:30:00+00:00"))])
    rows = api.json(
        COUNTS,
        {"from": "2026-10-25T00:00:00Z", "to": "2026-10-25T02:00:00Z", "interval": "hour", "tz": "Europe/Berlin"},
    )["rows"]
    assert [(row["bucket"], row["count"]) for row in rows] == [
        ("2026-10-25T02:00:00+02:00", 1),
        ("2026-10-25T02:00:00+01:00", 0),
    ]


def test_a_series_has_no_holes(api: AnalyticsUnderTest) -> None:
    seed(
        api.database_url,
        [
            SeedEvent(event_type="a", occurred_at=at("2026-03-10T00:10:00+00:00")),
            SeedEvent(event_type="b", occurred_at=at("2026-03-10T03:10:00+00:00")),
        ],
    )
    rows = api.json(COUNTS, {"from": "2026-03-10T00:00:00Z", "to": "2026-03-10T04:00:00Z", "interval": "hour"})["rows"]
    assert [(row["bucket"][11:13], row["event_type"], row["count"]) for row in rows] == [
        ("00", "a", 1), ("00", "b", 0), ("01", "a", 0), ("01", "b", 0),
        ("02", "a", 0), ("02", "b", 0), ("03", "a", 0), ("03", "b", 1),
    ]  # fmt: skip


def test_a_type_that_never_happened_has_its_series_of_zeros(api: AnalyticsUnderTest) -> None:
    query = {"from": "2026-03-10T00:00:00Z", "to": "2026-03-10T00:03:00Z", "interval": "minute", "event_type": "x"}
    rows = api.json(COUNTS, query)["rows"]
    assert [(row["event_type"], row["count"]) for row in rows] == [("x", 0)] * 3


def test_weeks_begin_on_monday_and_months_on_the_first(api: AnalyticsUnderTest) -> None:
    seed(api.database_url, [SeedEvent(occurred_at=at("2026-03-01T10:00:00+00:00"))])
    query = {"from": "2026-02-27T00:00:00Z", "to": "2026-03-03T00:00:00Z"}
    weeks = api.json(COUNTS, {**query, "interval": "week"})["rows"]
    assert [(row["bucket"], row["count"]) for row in weeks] == [
        ("2026-02-23T00:00:00+00:00", 1),
        ("2026-03-02T00:00:00+00:00", 0),
    ]
    months = api.json(COUNTS, {**query, "interval": "month", "tz": "America/New_York"})["rows"]
    assert [(row["bucket"], row["count"]) for row in months] == [
        ("2026-02-01T00:00:00-05:00", 0),
        ("2026-03-01T00:00:00-05:00", 1),
    ]


def test_parts_of_minutes_are_counted_to_the_microsecond(api: AnalyticsUnderTest) -> None:
    start = at("2026-03-10T12:00:00+00:00")
    moments = every(timedelta(seconds=7, microseconds=1), start, start + timedelta(minutes=4))
    seed(api.database_url, [SeedEvent(occurred_at=moment) for moment in moments])
    for first, last in ((moments[1], moments[20]), (moments[2], moments[3]), (moments[0], moments[-1])):
        query = {"from": first.isoformat(), "to": last.isoformat()}
        answer = api.json(COUNTS, query)
        assert answer["total"] == sum(first <= moment < last for moment in moments)
        assert answer["source"] == "rollups+events"


def test_csv_has_a_header_and_the_same_rows(api: AnalyticsUnderTest) -> None:
    seed(api.database_url, [SeedEvent(client_id='a "quoted", client'), SeedEvent(client_id="b")])
    query = {"from": "2026-03-10T00:00:00Z", "to": "2026-03-11T00:00:00Z", "group_by": "event_type,client_id"}
    answer = api.get(COUNTS, {**query, "format": "csv", "interval": "day"})
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.text.startswith("event_type,client_id,bucket,count\r\n")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    expected = api.json(COUNTS, {**query, "interval": "day"})["rows"]
    assert [{**row, "count": int(row["count"])} for row in rows] == expected


def test_an_answer_of_too_many_rows_is_refused_before_it_is_counted(api: AnalyticsUnderTest) -> None:
    query = {"from": "1950-01-01T00:00:00Z", "to": "2950-01-01T00:00:00Z", "interval": "minute"}
    assert api.refused(COUNTS, query) == (422, "invalid-query")


EVENING = datetime(2026, 3, 28, 22, tzinfo=UTC)  # clocks go forward in the night that follows
MOMENTS = st.timedeltas(timedelta(0), timedelta(hours=6)).map(lambda after: EVENING + after)
EVENTS = st.builds(
    lambda client, type_, moment: SeedEvent(client_id=client, event_type=type_, occurred_at=moment),
    st.sampled_from(["a", "b"]),
    st.sampled_from(["x", "y", "z"]),
    MOMENTS,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    events=st.lists(EVENTS, max_size=25),
    ends=st.tuples(MOMENTS, MOMENTS).filter(lambda pair: pair[0] != pair[1]).map(sorted),
    client=st.sampled_from([None, "a", "b", "nobody"]),
    event_type=st.sampled_from([None, "x"]),
    zone=st.sampled_from(["Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "UTC"]),
)
def test_counts_equal_a_recount(
    api: AnalyticsUnderTest,
    events: list[SeedEvent],
    ends: list[datetime],
    client: str | None,
    event_type: str | None,
    zone: str,
) -> None:
    with psycopg.connect(api.database_url) as connection:
        connection.execute("TRUNCATE events, event_ids, rollup_events_minute")
    seed(api.database_url, events)
    start, end = ends
    query = {"from": start.isoformat(), "to": end.isoformat(), "client_id": client, "event_type": event_type}
    query = {name: value for name, value in query.items() if value is not None}
    expected = [
        event
        for event in events
        if start <= event.occurred_at < end
        and client in (None, event.client_id)
        and event_type in (None, event.event_type)
    ]
    counts = api.json(COUNTS, query)
    assert {row["event_type"]: row["count"] for row in counts["rows"]} == Counter(e.event_type for e in expected)
    series = api.json(COUNTS, {**query, "interval": "hour", "tz": zone})
    hours = Counter(
        event.occurred_at.astimezone(ZoneInfo(zone)).replace(minute=0, second=0, microsecond=0).isoformat()
        for event in expected
    )
    by_bucket: Counter[str] = Counter()
    for row in series["rows"]:
        by_bucket[row["bucket"]] += row["count"]
    assert +by_bucket == hours
    assert series["total"] == counts["total"] == len(expected)
