"""The scheduled retry: what is due is put back, ever later, so often and no more, by one leader at a time."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from deploy.connections import async_redis, async_store_connection
from deploy.endpoints import with_role
from shared.failed_events import RetryPolicy
from stream_processor.retry_schedule import LEADER_LOCK, RetrySchedule
from tests.failing_events import POISON, Failing, failing
from tests.fault_proxy import FaultProxy
from tests.pipeline import KEYS, block, event, execute, intake, processing, stored_ids
from tests.pipeline import wait_until_drained as drained
from tests.waiting import eventually

POLICY = RetryPolicy(interval_seconds=600, base_seconds=60, factor=3, cap_seconds=300, most_tries=3)


@pytest.fixture
def life(redis_url: str, database_url: str) -> Iterator[Failing]:
    with failing(redis_url, database_url, POLICY) as made:
        made.enricher.broken = True
        yield made


def schedule(life: Failing, policy: RetryPolicy = POLICY) -> RetrySchedule:
    url = with_role(life.database_url, "weir_writer")
    return RetrySchedule(policy, 1, lambda: async_store_connection(url), lambda: async_redis(life.redis_url, 2))


def retry(life: Failing, now: datetime) -> int:
    return asyncio.run(schedule(life).retry_due(now))


def test_waits_grow_up_to_the_cap_and_end_with_the_most_tries(life: Failing) -> None:
    life.send(block(event("a")))
    for wait_seconds in (60, 180, 300):
        row = life.row()
        due = row["last_failed_at"] + timedelta(seconds=wait_seconds)
        assert row["next_retry_at"] == due
        assert retry(life, due - timedelta(milliseconds=1)) == 0
        assert retry(life, due) == 1
        life.pass_on()
    row = life.row()
    assert (row["retries"], row["replays"], row["attempts"]) == (3, 3, 4)
    assert row["next_retry_at"] is None
    assert retry(life, datetime.now(UTC) + timedelta(days=9)) == 0


def test_a_retried_event_is_stored_and_forgotten(life: Failing, database_url: str) -> None:
    life.send(block(event("a"), event("b")))
    life.enricher.broken = False
    assert retry(life, datetime.now(UTC) + timedelta(hours=1)) == 2
    life.pass_on()
    assert stored_ids(database_url) == ["a", "b"]
    assert life.rows() == []
    assert intake(database_url) == {"stored": 2, "duplicates": 0, "conflicting": 0, "failed": 0}


def test_classes_that_waiting_cannot_mend_are_left_alone(life: Failing) -> None:
    life.enricher.broken = False
    life.send(block(event("a", POISON)))
    assert life.row()["next_retry_at"] is None
    assert retry(life, datetime.now(UTC) + timedelta(days=9)) == 0


def test_an_event_under_way_is_not_put_back_again_until_it_must_be_lost(life: Failing) -> None:
    life.send(block(event("a")))
    now = datetime.now(UTC) + timedelta(hours=1)
    assert retry(life, now) == 1
    assert retry(life, now + timedelta(minutes=9)) == 0
    assert retry(life, now + timedelta(minutes=10)) == 1


def test_while_one_leads_the_others_do_nothing(life: Failing, database_url: str) -> None:
    life.send(block(event("a")))
    now = datetime.now(UTC) + timedelta(hours=1)
    with psycopg.connect(database_url, autocommit=True) as leader:
        leader.execute("SELECT pg_advisory_lock(%s)", (LEADER_LOCK,))
        assert retry(life, now) == 0
    eventually(lambda: retry(life, now), what="the lock ends with its connection")


def test_two_at_once_put_an_event_back_once(life: Failing) -> None:
    life.send(block(*(event(f"e{place}") for place in range(250))))
    now = datetime.now(UTC) + timedelta(hours=1)

    async def both() -> list[int]:
        return list(await asyncio.gather(*(schedule(life).retry_due(now) for _ in range(2))))

    assert sum(asyncio.run(both())) == 250
    assert life.redis.hget(KEYS.events.totals, "added") == b"500"


def test_a_server_that_is_away_puts_the_round_off(life: Failing, database_url: str) -> None:
    life.send(block(event("a")))
    execute(database_url, "UPDATE failed_events SET next_retry_at = now()")
    with FaultProxy(life.redis_url) as proxy:
        url = proxy.url
    away = RetrySchedule(
        POLICY, 1, lambda: async_store_connection(database_url), lambda: async_redis(url, 0.5)
    )  # fmt: skip
    assert away.run_round() == 10
    row = life.row()
    assert (row["replayed_at"], row["replays"]) == (None, 0)
    assert schedule(life).run_round() == POLICY.interval_seconds
    assert life.row()["replays"] == 1


def test_a_processor_retries_by_itself_until_the_enricher_is_mended(redis_url: str, database_url: str) -> None:
    policy = RetryPolicy(interval_seconds=0.1, base_seconds=0.1, factor=1, cap_seconds=1, most_tries=50)
    with failing(redis_url, database_url, policy) as life:
        life.enricher.broken = True
        life.send(block(event("a")))
        retries = schedule(life, policy)
        with processing(redis_url, database_url, [life.enricher], retries=retries, retry=policy, batch_age_ms=1):
            eventually(lambda: any(row["retries"] >= 2 for row in life.rows()), what="it is retried")
            life.enricher.broken = False
            eventually(lambda: stored_ids(database_url) == ["a"], what="it is stored")
            drained(life.redis)
        assert life.rows() == []
        assert intake(database_url) == {"stored": 1, "duplicates": 0, "conflicting": 0, "failed": 0}
