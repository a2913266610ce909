"""Servers that go away while events flow: nothing fails, nothing is lost, nothing is stored twice."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import redis
from psycopg import sql

from tests.fault_proxy import FaultProxy, Strike
from tests.pipeline import (
    KEYS,
    RunningProcessor,
    assert_rollups_equal_recounts,
    block,
    event,
    execute,
    intake,
    processing,
    put,
    rows,
    stored_ids,
    value,
    wait_until_drained,
)
from tests.servers import RunningServer
from tests.waiting import eventually

RECOVERY_SECONDS = 2.0


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url) as made:
        yield made


class Producer:
    """Puts one event after the other on the stream; remembers those that Redis took."""

    def __init__(self, redis_url: str) -> None:
        self._url = redis_url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._produce)
        self.accepted: list[str] = []
        self.unknown: list[str] = []

    def __enter__(self) -> "Producer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def wait_for(self, more: int) -> None:
        wanted = len(self.accepted) + more
        eventually(lambda: len(self.accepted) >= wanted, what=f"{more} more events accepted")

    def _produce(self) -> None:
        with redis.Redis.from_url(self._url, socket_timeout=2, retry=None) as client:
            n = 0
            while not self._stop.wait(0.002):
                n += 1
                try:
                    put(client, block(event(f"e{n:06}")))
                    self.accepted.append(f"e{n:06}")
                except redis.RedisError:
                    self.unknown.append(f"e{n:06}")


def outage(processor: RunningProcessor, server: str) -> float:
    return processor.metric("weir_processor_outage", stream="events", server=server)


def assert_stored_once(database_url: str, producer: Producer) -> None:
    stored = stored_ids(database_url)
    assert len(stored) == len(set(stored))
    assert set(producer.accepted) <= set(stored) <= {*producer.accepted, *producer.unknown}
    assert intake(database_url) == {"stored": len(stored), "duplicates": 0, "conflicting": 0, "failed": 0}
    assert value(database_url, "SELECT count(*) FROM failed_events") == 0
    assert_rollups_equal_recounts(database_url)


def test_events_wait_while_postgresql_is_down_and_are_stored_when_it_is_back(
    redis_url: str, database_url: str, postgres_server: RunningServer, client: Any
) -> None:
    with processing(redis_url, database_url) as processor, Producer(redis_url) as producer:
        producer.wait_for(50)
        postgres_server.kill()
        eventually(lambda: outage(processor, "postgresql") == 1)
        producer.wait_for(200)
        postgres_server.restart()
        back_at = time.monotonic()
        last = producer.accepted[-1]
        eventually(lambda: last in stored_ids(database_url), within_seconds=RECOVERY_SECONDS)
        assert time.monotonic() - back_at < RECOVERY_SECONDS
        eventually(lambda: outage(processor, "postgresql") == 0)
        producer.__exit__()
        wait_until_drained(client)
    assert_stored_once(database_url, producer)


def test_what_redis_acknowledged_before_it_was_killed_is_stored_once(
    redis_url: str, database_url: str, redis_server: RunningServer, client: Any
) -> None:
    with processing(redis_url, database_url) as processor, Producer(redis_url) as producer:
        producer.wait_for(50)
        redis_server.kill()
        eventually(lambda: outage(processor, "redis") == 1)
        redis_server.restart()
        producer.wait_for(50)
        producer.__exit__()
        wait_until_drained(client)
        eventually(lambda: outage(processor, "redis") == 0)
    assert_stored_once(database_url, producer)


@pytest.mark.parametrize("strike", Strike)
@pytest.mark.parametrize("request_with", [b"PGCOPY", b"stored_entries", b"COMMIT", b"add_to_rollups"])
def test_a_connection_to_postgresql_may_break_at_any_step(
    redis_url: str, database_url: str, client: Any, request_with: bytes, strike: Strike
) -> None:
    with FaultProxy(database_url) as proxy:
        proxy.strike(request_with, strike)
        put(client, block(*(event(f"e{n:03}") for n in range(100)), event("e000")))
        with processing(redis_url, proxy.url):
            wait_until_drained(client)
        assert proxy.struck == 1
    assert len(stored_ids(database_url)) == 100
    assert intake(database_url) == {"stored": 100, "duplicates": 1, "conflicting": 0, "failed": 0}


@pytest.mark.parametrize("setting", ["statement_timeout", "lock_timeout"])
def test_a_statement_that_waits_too_long_is_cancelled_and_made_again(
    redis_url: str, database_url: str, client: Any, setting: str
) -> None:
    impatient = f"{database_url}?options=-c%20{setting}%3D200"
    with psycopg.connect(database_url) as blocker:
        blocker.execute("LOCK TABLE stored_entries")
        put(client, block(event("a")))
        # statement_timeout is the processor's own affair: it sets a longer one, so here the database cuts in
        with processing(redis_url, impatient) as processor:
            if setting == "statement_timeout":
                cancel_waiting(database_url)
            eventually(lambda: outage(processor, "postgresql") == 1)
            blocker.rollback()
            wait_until_drained(client)
    assert stored_ids(database_url) == ["a"]
    assert rows(database_url, "SELECT * FROM failed_events") == []


def cancel_waiting(database_url: str) -> None:
    # of that table only: maintenance may wait for a lock too, and its being cancelled is no outage
    waiting = "SELECT pg_cancel_backend(pid) FROM pg_locks WHERE NOT granted AND relation = 'stored_entries'::regclass"
    eventually(lambda: rows(database_url, waiting))


def test_a_read_only_postgresql_is_waited_for(redis_url: str, database_url: str, client: Any) -> None:
    name = value(database_url, "SELECT current_database()")
    read_only = sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = {}")
    execute(database_url, read_only.format(sql.Identifier(name), sql.Literal("on")).as_string())
    put(client, block(event("a")))
    with processing(redis_url, database_url) as processor:
        eventually(lambda: outage(processor, "postgresql") == 1)
        reset = read_only.format(sql.Identifier(name), sql.Literal("off")).as_string()
        execute(database_url, f"SET transaction_read_only = off; {reset}")
        wait_until_drained(client)
    assert stored_ids(database_url) == ["a"]


def test_partitions_that_vanish_under_way_are_made_again(redis_url: str, database_url: str, client: Any) -> None:
    with processing(redis_url, database_url) as processor:
        put(client, block(event("a")))
        wait_until_drained(client)
        execute(database_url, "DROP TABLE " + value(database_url, "SELECT tableoid::regclass::text FROM events"))
        put(client, block(event("b"), event("bad", b"{")))
        wait_until_drained(client)
        assert processor.running
    assert stored_ids(database_url) == ["b"]


def test_two_processors_share_a_stream_and_store_each_event_once(
    redis_url: str, database_url: str, client: Any
) -> None:
    with (
        processing(redis_url, database_url, consumer="p1", batch_events=50, claim_idle_seconds=0.5),
        processing(redis_url, database_url, consumer="p2", batch_events=50, claim_idle_seconds=0.5),
    ):
        for turn in range(40):
            ids = [f"{turn // 2}-{k}" for k in range(50)]  # each id twice, in other orders
            put(client, block(*(event(one) for one in (ids if turn % 2 else reversed(ids)))))
        wait_until_drained(client)
    assert len(stored_ids(database_url)) == 20 * 50
    assert intake(database_url) == {"stored": 1000, "duplicates": 1000, "conflicting": 0, "failed": 0}
    assert client.xlen(KEYS.dead.stream) == 0
    assert_rollups_equal_recounts(database_url)
