"""`weir processor run` as a process: killed, told to stop, or faced with a schema that is not its own."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from shared.stream_hold import StreamHolds
from tests.fault_proxy import FaultProxy
from tests.pipeline import (
    KEYS,
    assert_rollups_equal_recounts,
    block,
    event,
    execute,
    intake,
    pending,
    processing,
    put,
    stored_ids,
    totals,
    wait_until_drained,
)
from tests.processor_process import ProcessorProcess
from tests.waiting import eventually

DRAIN_SECONDS = 3


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url) as made:
        yield made


def test_what_a_killed_processor_had_in_hand_is_stored_by_another(
    redis_url: str, database_url: str, client: Any
) -> None:
    settings = {"WEIR_CLAIM_IDLE_SECONDS": 0.5, "EVENT_BATCH_SIZE": 20}
    with (
        ProcessorProcess(redis_url, database_url, **settings) as victim,
        ProcessorProcess(redis_url, database_url, **settings) as heir,
    ):
        eventually(lambda: victim.ready and heir.ready)
        for n in range(400):
            put(client, block(*(event(f"{n}-{k}") for k in range(5))))
            if n == 200:
                victim.kill()
        wait_until_drained(client)
        heir.terminate()
        assert heir.wait(10) == 0
    assert len(stored_ids(database_url)) == 2000
    assert intake(database_url) == {"stored": 2000, "duplicates": 0, "conflicting": 0, "failed": 0}
    assert_rollups_equal_recounts(database_url)


def test_told_to_stop_it_stores_what_it_has_and_leaves(redis_url: str, database_url: str, client: Any) -> None:
    with ProcessorProcess(redis_url, database_url) as processor:
        for n in range(300):
            put(client, block(event(f"e{n}")))
        eventually(lambda: totals(client)["settled"] > 0)
        processor.terminate()
        assert processor.wait(10) == 0
        assert '"drained":true' in processor.log
    assert pending(client) == 0
    assert len(stored_ids(database_url)) == totals(client)["settled"]


@pytest.mark.parametrize("away", ["refusing", "silent"])
def test_told_to_stop_while_postgresql_is_away_it_leaves_all_pending(
    redis_url: str, database_url: str, client: Any, away: str
) -> None:
    with (
        FaultProxy(database_url) as proxy,
        ProcessorProcess(redis_url, proxy.url, WEIR_DRAIN_SECONDS=DRAIN_SECONDS) as processor,
    ):
        put(client, block(event("before")))
        wait_until_drained(client)
        if away == "silent":
            proxy.pause()
        else:
            proxy.refuse()
        put(client, block(event("a")))
        eventually(lambda: pending(client) == 1)
        processor.terminate()
        told_at = time.monotonic()
        assert processor.wait(10) == 0
        assert time.monotonic() - told_at < DRAIN_SECONDS + 5
    assert stored_ids(database_url) == ["before"]
    assert pending(client) == 1
    with processing(redis_url, database_url, consumer="next", claim_idle_seconds=0.3):
        wait_until_drained(client)
    assert stored_ids(database_url) == ["a", "before"]


def test_a_schema_that_is_not_its_own_halts_it_loudly_and_it_goes_on_when_told(
    redis_url: str, database_url: str, client: Any
) -> None:
    execute(database_url, "ALTER TABLE events RENAME COLUMN context TO surroundings")
    put(client, block(event("a")))
    with ProcessorProcess(redis_url, database_url, WEIR_LOG_FORMAT="json") as processor:
        (line,) = eventually(lambda: [line for line in processor.log.splitlines() if '"loop.halted"' in line])
        assert "weir db status" in line
        assert '"level":"error"' in line
        assert stored_ids(database_url) == []
        assert pending(client) == 1
        execute(database_url, "ALTER TABLE events RENAME COLUMN surroundings TO context")
        StreamHolds(client).resume(KEYS.events)
        wait_until_drained(client)
        processor.terminate()
        assert processor.wait(10) == 0
    assert stored_ids(database_url) == ["a"]


def test_what_a_processor_cannot_store_for_reasons_of_its_own_is_stored_by_another(
    redis_url: str, database_url: str, client: Any
) -> None:
    other_schema = sibling_without_context(database_url)
    put(client, block(event("a")))
    with ProcessorProcess(redis_url, other_schema, WEIR_LOG_FORMAT="json") as unfit:
        eventually(lambda: '"loop.halted"' in unfit.log)
        with processing(redis_url, database_url, consumer="fit", claim_idle_seconds=0.3):
            wait_until_drained(client)
        assert unfit.exit_code is None
    assert stored_ids(database_url) == ["a"]


def sibling_without_context(database_url: str) -> str:
    """The same database for a role whose search path leads it to a table of an earlier schema."""
    execute(
        database_url,
        "CREATE SCHEMA earlier; CREATE VIEW earlier.events AS SELECT client_id, event_id FROM events; "
        "GRANT USAGE ON SCHEMA earlier TO weir_writer; GRANT INSERT ON earlier.events TO weir_writer",
    )
    return f"{database_url}{'&' if '?' in database_url else '?'}options=-c%20search_path%3Dearlier,public"
