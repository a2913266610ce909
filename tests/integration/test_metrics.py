"""What the services count is what happened."""

import socket
from collections.abc import Callable
from pathlib import Path

import httpx2
import psycopg
import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from shared.api_keys import Scope
from shared.failed_events import RetryPolicy
from shared.processor_status import ProcessorState
from shared.reconcile_note import leave_reconcile_note
from stream_processor.upkeep import Upkeep
from tests.analytics_server import serve_analytics
from tests.failing_events import failing
from tests.fault_proxy import FaultProxy
from tests.gateway_process import new_event, running_gateway
from tests.integration.test_retry_schedule import schedule
from tests.pipeline import KEYS, block, connect, event, now_us, processing, put, stored_ids, wait_until_drained
from tests.processor_process import ProcessorProcess
from tests.waiting import eventually

Ask = Callable[..., float | None]


def metrics_of(address: str) -> Ask:
    """A look at one series: its value, None when it is not there."""

    def ask(name: str, **labels: str) -> float | None:
        text = httpx2.get(f"{address}/metrics", timeout=10).text
        return next(
            (
                sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
                if sample.name == name and sample.labels == labels
            ),
            None,
        )

    return ask


def test_the_gateway_counts_what_it_takes_what_it_refuses_and_why(
    tmp_path: Path, redis_url: str, database_url: str
) -> None:
    with running_gateway(tmp_path, database_url, redis_url) as gateway:
        ask = metrics_of(f"http://127.0.0.1:{gateway.port}")
        known = new_event()
        assert gateway.ingest(known).status_code == 202
        assert gateway.batch([new_event(), new_event(), known]).status_code == 202
        lenient = {"Prefer": "handling=lenient"}
        assert gateway.batch([new_event(), {"event_id": "x"}], headers=lenient).json()["rejected"] == 1
        assert gateway.batch([new_event(), {"event_id": "x"}, {}]).status_code == 422
        assert gateway.ingest({"event_id": "x"}).status_code == 422
        assert gateway.ingest(new_event(), key="weir_nobody").status_code == 401
        few = gateway.make_key("few", Scope.INGEST, rate_limit=1)
        assert [gateway.ingest(new_event(), key=few).status_code for _ in range(3)] == [202, 429, 429]
        assert gateway.call("GET", "/api/v1/keys/", key=gateway.admin).status_code == 200

        assert ask("weir_gateway_events_accepted_total") == 5
        assert ask("weir_gateway_events_duplicate_total") == 1
        assert ask("weir_gateway_events_rejected_total") == 4
        decisions = {
            one: ask("weir_gateway_limiter_decisions_total", decision=one)
            for one in ("admitted", "limited", "busy", "stranger")
        }
        assert decisions == {"admitted": 6, "limited": 2, "busy": 0, "stranger": 0}
        assert ask("weir_gateway_ingest_refused_total", problem="rate-limited") == 2
        assert ask("weir_gateway_ingest_refused_total", problem="unauthenticated") == 1
        assert ask("weir_gateway_requests_total", route="/api/v1/keys/", status="200") == 1
        assert ask("weir_gateway_publish_calls_total", outcome="done") == 9
        assert ask("weir_gateway_publish_batch_events_sum") == 8  # those of limited requests too
        eventually(lambda: ask("weir_gateway_redis_up") == 1)
        assert (ask("weir_gateway_redis_memory_used_bytes") or 0) > 0
        assert ask("weir_gateway_backlog_limit_events") == 2_000_000
        assert (ask("weir_pool_connections") or 0) >= 1


def test_the_gateway_shows_that_redis_is_away(tmp_path: Path, redis_url: str, database_url: str) -> None:
    with FaultProxy(redis_url) as proxy, running_gateway(tmp_path, database_url, proxy.url) as gateway:
        ask = metrics_of(f"http://127.0.0.1:{gateway.port}")
        eventually(lambda: ask("weir_gateway_redis_up") == 1)
        proxy.refuse()
        eventually(lambda: ask("weir_gateway_redis_up") == 0)
        assert gateway.ingest(new_event()).status_code == 503
        assert (ask("weir_gateway_publish_calls_total", outcome="failed") or 0) >= 1


def test_the_processor_counts_what_became_of_events_and_how_long_it_took(redis_url: str, database_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client, processing(redis_url, database_url) as processor:
        put(client, block(event("a"), event("b"), received_us=now_us() - 20_000_000))
        put(client, block(event("c")))
        wait_until_drained(client)
        put(client, block(event("a"), event("b", b'{"a": 2}')))
        wait_until_drained(client)
        assert processor.metric("weir_processor_events_stored_total") == 3
        assert processor.metric("weir_processor_events_duplicate_total") == 2
        assert processor.metric("weir_processor_events_conflicting_total") == 1
        waits = "weir_processor_receipt_to_stored_seconds"
        assert processor.metric(f"{waits}_count") == 3
        assert processor.metric(f"{waits}_bucket", le="10.0") == 1
        assert processor.metric(f"{waits}_sum") >= 40
        assert processor.metric("weir_processor_events_settled_total", stream="events") == 5


def test_failed_events_and_those_put_back_by_schedule_are_counted(redis_url: str, database_url: str) -> None:
    policy = RetryPolicy(interval_seconds=0.1, base_seconds=0.1, factor=1, cap_seconds=1, most_tries=50)
    with failing(redis_url, database_url, policy) as life:
        life.enricher.broken = True
        life.send(block(event("a")))
        retries = schedule(life, policy)
        with processing(redis_url, database_url, [life.enricher], retries=retries, retry=policy) as processor:
            eventually(lambda: processor.metric("weir_processor_events_retried_total") >= 2)
            eventually(lambda: processor.metric("weir_processor_events_failed_total", stream="events") >= 1)
            life.enricher.broken = False
            eventually(lambda: processor.metric("weir_processor_events_stored_total") == 1)


def test_a_processor_whose_metrics_port_is_taken_says_so_and_stores_events(redis_url: str, database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, redis.Redis.from_url(redis_url) as client:
        port = other.getsockname()[1]
        with ProcessorProcess(redis_url, database_url, WEIR_PROCESSOR_METRICS_PORT=port) as processor:
            put(client, block(event("a")))
            eventually(lambda: stored_ids(database_url) == ["a"], within_seconds=30)
            assert "metrics.not_served" in processor.log


def test_a_round_of_upkeep_that_was_done_is_told(redis_url: str, database_url: str) -> None:
    class TwoRounds:
        """A stop that comes after two intervals, which it does not wait for."""

        left = 2

        def wait(self, _: float) -> bool:
            self.left -= 1
            return self.left < 0

    done: list[int] = []
    upkeep = Upkeep(1, lambda: redis.Redis.from_url(redis_url), lambda: connect(database_url))
    upkeep.run(TwoRounds(), lambda: done.append(1))  # type: ignore[arg-type]
    assert len(done) == 2


def test_analytics_shows_processors_partitions_and_the_last_reconciliation(redis_url: str, database_url: str) -> None:
    with (
        redis.Redis.from_url(redis_url) as client,
        serve_analytics(database_url, redis_url) as api,
        processing(redis_url, database_url) as processor,
    ):
        ask = metrics_of(api.base_url)
        assert ask("weir_reconcile_last_run_timestamp_seconds") == 0
        leave_reconcile_note(client, 2)
        assert ask("weir_reconcile_differences") == 2
        assert (ask("weir_reconcile_last_run_timestamp_seconds") or 0) > 0
        assert client.ttl(KEYS.reconcile) > 0
        eventually(lambda: ask("weir_processors", state="running") == 1)
        assert ask("weir_processors", state="halted") == 0
        client.hset(KEYS.processor("p1"), "state", ProcessorState.HALTED.value)
        processor.stop()
        eventually(lambda: (ask("weir_partitions_ahead_days", table="events") or 0) >= 3, within_seconds=20)
        assert ask("weir_analytics_postgresql_up") == 1


def test_a_hole_in_the_partitions_ends_what_is_ahead(redis_url: str, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        for ahead in (0, 1, 3):
            connection.execute(
                "SELECT ensure_day_partition('events', (now() AT TIME ZONE 'UTC')::date + %s::int)", (ahead,)
            )
    with serve_analytics(database_url, redis_url) as api:
        ask = metrics_of(api.base_url)
        assert ask("weir_partitions_ahead_days", table="events") == 1
        assert ask("weir_partitions_ahead_days", table="audit_logs") == -1


@pytest.mark.parametrize("server", ["redis", "postgresql"])
def test_analytics_shows_which_server_is_away_and_no_old_numbers(
    redis_url: str, database_url: str, server: str
) -> None:
    with FaultProxy(redis_url if server == "redis" else database_url) as proxy:
        urls = (database_url, proxy.url) if server == "redis" else (proxy.url, redis_url)
        with serve_analytics(*urls) as api:
            ask = metrics_of(api.base_url)
            gone = {"redis": "weir_stream_length_events", "postgresql": "weir_partitions_ahead_days"}[server]
            labels = {"stream": "events", "shard": "0"} if server == "redis" else {"table": "events"}
            eventually(lambda: ask(gone, **labels) is not None)
            proxy.refuse()
            eventually(lambda: ask(f"weir_analytics_{server}_up") == 0, within_seconds=20)
            assert ask(gone, **labels) is None
