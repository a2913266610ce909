"""What waits, how well it goes, what was called and what failed."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import redis

from shared.redis_keys import ShardKeys
from tests.accepted_events import append, take
from tests.analytics_seed import seed_call, seed_failed
from tests.analytics_server import AnalyticsUnderTest, serve_analytics

QUEUE = "/api/v1/analytics/queue-status"
PROCESSING = "/api/v1/analytics/processing-metrics"
LOGS = "/api/v1/audit/logs"
FAILED = "/api/v1/audit/failed-events"


@pytest.fixture
def api(database_url: str, redis_url: str) -> Iterator[AnalyticsUnderTest]:
    with serve_analytics(database_url, redis_url, shards=2) as served:
        yield served


def test_queue_status_counts_events_and_names_consumers(api: AnalyticsUnderTest, redis_url: str) -> None:
    events = ShardKeys(1).events
    with redis.Redis.from_url(redis_url) as client:
        append(client, events, 500)
        append(client, events, 20)
        take(client, events, "p1")
    seed_failed(api.database_url)
    answer = api.json(QUEUE)
    assert [(s["name"], s["shard"]) for s in answer["streams"]] == [
        (name, shard) for shard in (0, 1) for name in ("events", "audit", "dead")
    ]
    (full,) = [s for s in answer["streams"] if (s["name"], s["shard"]) == ("events", 1)]
    assert (full["length"], full["lag"], full["pending"]) == (520, 20, 500)
    assert 0 <= full["oldest_age_seconds"] < 60
    (consumer,) = answer["consumers"]
    assert 0 <= consumer.pop("idle_seconds") < 60
    assert consumer == {"name": "p1", "stream": "events", "shard": 1, "pending": 1}
    assert answer["failed"] == 1


def test_percentiles_are_within_two_percent_and_totals_add_up(api: AnalyticsUnderTest) -> None:
    latencies_us = sorted(int(1000 * 1.003**i) for i in range(2000))
    gamma = 1.02 / 0.98
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    with psycopg.connect(api.database_url) as connection:
        connection.cursor().executemany(
            "INSERT INTO rollup_latency_minute VALUES (%s, 'acme', %s, %s, 1) "
            "ON CONFLICT (bucket_start, client_id, event_type, bucket) "
            "DO UPDATE SET events = rollup_latency_minute.events + 1",
            [
                (now - timedelta(hours=i % 160), "ab"[i % 2], math.ceil(math.log(us, gamma)))
                for i, us in enumerate(latencies_us)
            ],
        )
        connection.execute(
            "INSERT INTO rollup_latency_minute VALUES (%s, 'acme', 'a', 1, 1000000)", (now - timedelta(days=8),)
        )
        connection.execute("INSERT INTO rollup_intake_minute VALUES (%s, 'acme', 2000, 7, 2, 1)", (now,))
    seed_failed(api.database_url, attempts=4)
    answer = api.json(PROCESSING, {"days": "7", "group_by": "event_type"}, key=api.reader("acme"))
    assert answer["count"] == 2000
    assert answer["throughput_per_second"] == pytest.approx(2000 / 604_800)
    for percent in (50, 95, 99):
        exact_ms = latencies_us[int(percent / 100 * 1999)] / 1000
        assert answer["latency_ms"][f"p{percent}"] == pytest.approx(exact_ms, rel=0.0201)
    assert (answer["stored"], answer["duplicates"], answer["conflicting"], answer["failed"]) == (2000, 7, 2, 1)
    assert answer["retried"] == 3
    assert sorted((row["event_type"], row["count"]) for row in answer["rows"]) == [("a", 1000), ("b", 1000)]


def test_nothing_stored_has_no_percentiles(api: AnalyticsUnderTest) -> None:
    answer = api.json(PROCESSING)
    assert (answer["count"], answer["latency_ms"]) == (0, {"p50": None, "p95": None, "p99": None})


def test_audit_logs_are_filtered_by_every_field(api: AnalyticsUnderTest) -> None:
    seed_call(api.database_url, request_id="good", duration_us=1234)
    seed_call(api.database_url, request_id="bad", method="GET", status=422, error="invalid-query", service="analytics")
    seed_call(api.database_url, request_id="stranger", client_id=None, key_id=None, status=401, endpoint="unmatched")

    def found(**filters: str) -> list[str]:
        return [log["request_id"] for log in api.json(LOGS, filters)["logs"]]

    assert found() == ["stranger", "bad", "good"]
    assert found(endpoint="failed") == ["stranger", "bad"]
    assert found(endpoint="failed", client_id="acme") == ["bad"]
    assert found(endpoint="/api/v1/events/batch") == ["bad", "good"]
    assert found(method="get") == ["bad"]
    assert found(status="401") == ["stranger"]
    assert found(service="gateway") == ["stranger", "good"]
    assert found(request_id="good") == ["good"]
    assert found(to="2020-01-01T00:00:00Z") == []
    (log,) = api.json(LOGS, {"request_id": "good"})["logs"]
    assert (log["duration_ms"], log["method"], log["status"], log["client_id"]) == (1.234, "POST", 202, "acme")
    assert "id" not in log


@pytest.mark.parametrize("client_id", [None, "acme"])
def test_audit_pages_hold_every_call_once_across_equal_times(api: AnalyticsUnderTest, client_id: str | None) -> None:
    now = datetime.now(UTC) - timedelta(hours=1)
    for i in range(23):
        seed_call(api.database_url, at=now + timedelta(seconds=i // 8), request_id=f"r{i}")
    query = {"limit": "5"} | ({"client_id": client_id} if client_id else {})
    seen: list[str] = []
    cursor = None
    while not seen or cursor:
        answer = api.json(LOGS, query | ({"cursor": cursor} if cursor else {}))
        seen += [log["request_id"] for log in answer["logs"]]
        cursor = answer["next_cursor"]
    assert seen == [f"r{i}" for i in reversed(range(23))]


def test_failed_events_say_why_and_what_next(api: AnalyticsUnderTest) -> None:
    now = datetime.now(UTC) - timedelta(hours=1)
    for i in range(5):
        seed_failed(
            api.database_url, event_id=f"f{i}", last_failed_at=now, reason="odd" if i % 2 else "even", event_type="x"
        )
    seed_failed(api.database_url, event_id=None, event_type=None, occurred_at=None, payload=b"\xff")
    first = api.json(FAILED, {"limit": "3"})
    assert [row["event_id"] for row in first["failed_events"]] == [None, "f4", "f3"]
    rest = api.json(FAILED, {"limit": "3", "cursor": first["next_cursor"]})
    assert [row["event_id"] for row in rest["failed_events"]] == ["f2", "f1", "f0"]
    row = first["failed_events"][1]
    assert (row["reason"], row["attempts"], row["next_step"]) == ("even", 3, "mend it and replay")
    assert row["payload_bytes"] == len(b'{"a": 1}')
    assert (row["replays"], row["same_kind_failures"], row["replayed_at"], row["next_retry_at"]) == (0, 1, None, None)
    assert [row["event_id"] for row in api.json(FAILED, {"reason": "odd"})["failed_events"]] == ["f3", "f1"]
    assert len(api.json(FAILED, {"event_type": "x"})["failed_events"]) == 5
