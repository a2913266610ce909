"""Processing metrics against the latencies themselves, at every level and in every series."""

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise, product
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from shared.latency_sketch import bucket_of
from stream_processor.rollup_compaction import compact_rollups
from tests.analytics_seed import add_to_rollups, at
from tests.analytics_server import AnalyticsUnderTest, serve_analytics

PROCESSING = "/api/v1/analytics/processing-metrics"
START = at("2026-03-27T00:00:00+00:00")
HOURS = 24 * 5
Stored = tuple[datetime, str, str, int]
"""When, whose, of which type, and how many microseconds after its receipt."""


@pytest.fixture
def api(database_url: str, redis_url: str) -> Iterator[AnalyticsUnderTest]:
    with serve_analytics(database_url, redis_url) as served:
        yield served


@pytest.fixture(params=["before", "within", "behind"])
def history(request: pytest.FixtureRequest, api: AnalyticsUnderTest) -> list[Stored]:
    """Five days around a change of clocks in Berlin, compacted up to different moments, some of it late."""
    dice = random.Random(7)
    stored = [
        (
            START + timedelta(seconds=dice.randrange(HOURS * 3600)),
            dice.choice("ab"),
            dice.choice("xyz"),
            int(dice.lognormvariate(10, 1.5)) + 1,
        )
        for _ in range(400)
    ]
    until = (
        START
        + {"before": -timedelta(days=1), "within": timedelta(days=3, minutes=7), "behind": timedelta(9)}[request.param]
    )
    with psycopg.connect(api.database_url, autocommit=True) as connection:
        _add(connection, stored[:350])
        compact_rollups(connection, until)
        _add(connection, stored[350:])
    return stored


def _add(connection: psycopg.Connection[Any], stored: list[Stored]) -> None:
    by_minute: dict[datetime, Counter[tuple[str, str, int]]] = {}
    for moment, client, event_type, latency_us in stored:
        minute = moment.replace(second=0, microsecond=0)
        by_minute.setdefault(minute, Counter())[client, event_type, bucket_of(latency_us)] += 1
    with connection.transaction():
        for minute, latencies in by_minute.items():
            add_to_rollups(connection, latencies=latencies, stored_at=minute)


def check(described: dict[str, Any], latencies_us: list[int], seconds: float) -> None:
    assert described["count"] == len(latencies_us)
    assert described["throughput_per_second"] == pytest.approx(len(latencies_us) / seconds)
    for name, share in (("p50", 0.50), ("p95", 0.95), ("p99", 0.99)):
        exact = sorted(latencies_us)[int(share * (len(latencies_us) - 1))] / 1000 if latencies_us else None
        # answers are rounded to a microsecond
        assert described["latency_ms"][name] == (None if exact is None else pytest.approx(exact, rel=0.0201, abs=0.001))


def chosen(
    history: list[Stored], first: datetime, last: datetime, client: str | None, event_type: str = ""
) -> list[int]:
    return [
        latency_us
        for moment, whose, type_, latency_us in history
        if first <= moment < last and client in (None, whose) and event_type in ("", type_)
    ]


def test_percentiles_are_within_two_percent_over_any_range(api: AnalyticsUnderTest, history: list[Stored]) -> None:
    ranges = (
        (START, START + timedelta(hours=HOURS)),
        (START + timedelta(hours=7, minutes=23), START + timedelta(days=4, minutes=1)),
        (START + timedelta(hours=30, minutes=59), START + timedelta(hours=32, minutes=1)),
    )
    for (first, last), client in product(ranges, (None, "a")):
        query = {"from": first.isoformat(), "to": last.isoformat()} | ({"client_id": client} if client else {})
        answer = api.json(PROCESSING, {**query, "group_by": "event_type"})
        seconds = (last - first).total_seconds()
        check(answer, chosen(history, first, last, client), seconds)
        check(api.json(PROCESSING, query), chosen(history, first, last, client), seconds)
        for row in answer["rows"]:
            check(row, chosen(history, first, last, client, row["event_type"]), seconds)
        assert sum(row["count"] for row in answer["rows"]) == answer["count"]


def test_a_series_has_every_bucket_and_each_its_percentiles(api: AnalyticsUnderTest, history: list[Stored]) -> None:
    for zone, client in product(("Europe/Berlin", "Asia/Kathmandu"), (None, "b")):
        check_days(api, history, zone, client)


def check_days(api: AnalyticsUnderTest, history: list[Stored], zone: str, client: str | None) -> None:
    first, last = START + timedelta(hours=1, minutes=10), START + timedelta(days=4)
    query = {"from": first.isoformat(), "to": last.isoformat(), "interval": "day", "tz": zone, "group_by": "event_type"}
    answer = api.json(PROCESSING, query | ({"client_id": client} if client else {}))
    begin = datetime(2026, 3, 27, tzinfo=ZoneInfo(zone))
    days = [(begin + timedelta(days=n)).astimezone(UTC) for n in range(6)]  # wall clock arithmetic
    spans = [(max(day, first), min(following, last)) for day, following in pairwise(days) if day < last]
    assert [at(row["bucket"]) for row in answer["series"]] == days[: len(spans)]
    for place, (start, end) in enumerate(spans):
        seconds = (end - start).total_seconds()
        check(answer["series"][place], chosen(history, start, end, client), seconds)
        for row in answer["rows"]:
            check(row["series"][place], chosen(history, start, end, client, row["event_type"]), seconds)
    check(answer, chosen(history, first, last, client), (last - first).total_seconds())


def test_a_range_is_widened_to_whole_minutes(api: AnalyticsUnderTest) -> None:
    answer = api.json(PROCESSING, {"from": "2026-03-10T10:00:31Z", "to": "2026-03-10T11:00:01Z", "interval": "hour"})
    assert (answer["from"], answer["to"]) == ("2026-03-10T10:00:00Z", "2026-03-10T11:01:00Z")
    outcomes = {"stored": 0, "duplicates": 0, "conflicting": 0, "failed": 0, "retried": 0}
    assert [row["bucket"] for row in answer["series"]] == ["2026-03-10T10:00:00+00:00", "2026-03-10T11:00:00+00:00"]
    assert all(outcomes.items() <= row.items() for row in [answer, *answer["series"]])


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"days": "3", "from": "2026-03-10T00:00:00Z"}, "/query/days"),
        ({"days": "0"}, "/query/days"),
        ({"interval": "fortnight"}, "/query/interval"),
        ({"tz": "Nowhere"}, "/query/tz"),
        ({"from": "2026-03-10T00:00:00Z", "to": "2026-03-09T00:00:00Z"}, "/query/from"),
    ],
)
def test_what_cannot_be_asked_is_refused(api: AnalyticsUnderTest, query: dict[str, str], pointer: str) -> None:
    assert api.refused(PROCESSING, query) == (422, "invalid-query")
    assert api.get(PROCESSING, query).json()["errors"][0]["pointer"] == pointer


def test_outcomes_of_late_minutes_are_at_every_level(api: AnalyticsUnderTest) -> None:
    with psycopg.connect(api.database_url, autocommit=True) as connection:
        for hour in (0, 5, 47):
            connection.execute(
                "INSERT INTO rollup_intake_minute VALUES (%s, 'a', 7, 3, 1, 2), (%s, '', 0, 0, 0, 1)",
                [START + timedelta(hours=hour, minutes=3)] * 2,
            )
        compact_rollups(connection, START + timedelta(days=1))
        query = {"from": START.isoformat(), "to": (START + timedelta(days=2)).isoformat(), "interval": "day"}
        answer = api.json(PROCESSING, query)
        assert [(row["stored"], row["duplicates"], row["failed"]) for row in answer["series"]] == [
            (14, 6, 6),
            (7, 3, 3),
        ]
        assert api.json(PROCESSING, {**query, "client_id": "a"})["failed"] == 6
