"""An admin's list of one type: found by way of the rollups, and the same as a look at every event."""

import random
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from stream_processor.rollup_compaction import compact_rollups
from tests.analytics_seed import SeedEvent, at, seed
from tests.analytics_server import AnalyticsUnderTest, serve_analytics

START = at("2026-03-10T00:00:00+00:00")


@pytest.fixture
def api(database_url: str, redis_url: str) -> Iterator[AnalyticsUnderTest]:
    with serve_analytics(database_url, redis_url) as served:
        yield served


@pytest.mark.parametrize("compacted_hours", [0, 30, 100])
def test_pages_hold_every_event_of_the_type_newest_first(api: AnalyticsUnderTest, compacted_hours: int) -> None:
    dice = random.Random(compacted_hours)
    events = [
        SeedEvent(
            client_id=dice.choice("abc"),
            event_type=dice.choice(["rare", "often", "often", "often"]),
            occurred_at=START + timedelta(seconds=dice.choice([dice.randrange(72 * 3600), 36 * 3600, 36 * 3600 + 30])),
            payload=f'{{"n": {number % 3}}}',
        )
        for number in range(120)
    ]
    seed(api.database_url, events[:100])
    with psycopg.connect(api.database_url, autocommit=True) as connection:
        compact_rollups(connection, START + timedelta(hours=compacted_hours, minutes=7))
    seed(api.database_url, events[100:])
    first, last = START + timedelta(hours=3, seconds=30), START + timedelta(hours=71, minutes=2, microseconds=1)
    for event_type, filters in (("rare", {}), ("often", {}), ("often", {"payload.n": "1"}), ("never", {})):
        query = {"event_type": event_type, "from": first.isoformat(), "to": last.isoformat(), "limit": "7", **filters}
        expected = [
            event.event_id
            for event in sorted(events, key=lambda e: (e.occurred_at, e.event_id), reverse=True)
            if event.event_type == event_type
            and first <= event.occurred_at < last
            and (not filters or event.payload == '{"n": 1}')
        ]
        assert all_pages(api, query) == expected


def all_pages(api: AnalyticsUnderTest, query: dict[str, str]) -> list[str]:
    found: list[str] = []
    cursor = None
    while True:
        answer = api.json("/api/v1/events", query | ({"cursor": cursor} if cursor else {}))
        found += [event["event_id"] for event in answer["events"]]
        cursor = answer["next_cursor"]
        if cursor is None:
            return found
