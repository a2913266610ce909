"""A processor that makes too many events fail holds its stream, whoever takes its place, until a person says so."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import redis

from shared.stream_hold import HoldKind, StreamHolds
from tests.pipeline import KEYS, block, drained, event, pending, put, rows, stored_ids, wait_until_drained
from tests.processor_process import ProcessorProcess
from tests.waiting import eventually

LIMIT = {"WEIR_FAILURE_LIMIT_COUNT": 5, "WEIR_CLAIM_IDLE_SECONDS": 0.3, "WEIR_LOG_FORMAT": "json"}
BAD_RELEASE = {**LIMIT, "WEIR_ENRICHERS": "tests.bad_release:enrich"}


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url) as made:
        yield made


def held(client: Any) -> Any:
    return StreamHolds(client).read(KEYS.events)[0]


def put_too_many(client: Any) -> None:
    """More than the limit, in entries that are each below it."""
    for entry in range(3):
        put(client, block(*(event(f"e{entry}{n}") for n in range(3))))


def test_a_bad_release_halts_and_the_mended_one_stores_all_when_resumed(
    redis_url: str, database_url: str, client: Any
) -> None:
    with ProcessorProcess(redis_url, database_url, **BAD_RELEASE) as bad:
        put(client, block(event("early")))
        wait_until_drained(client)
        put(client, block(*(event(f"e{n}") for n in range(6))))
        hold = eventually(lambda: held(client))
        assert hold.kind is HoldKind.HALTED
        assert "7 of 7 events failed within 60 s" in hold.reason
        assert "raise WEIR_FAILURE_LIMIT_COUNT" in hold.reason
        assert '"action":"loop.halted"' in bad.log
        assert bad.exit_code is None
    assert rows(database_url, "SELECT event_id FROM failed_events") == [("early",)]
    assert pending(client) == 1
    with ProcessorProcess(redis_url, database_url, **LIMIT) as mended:
        eventually(lambda: '"action":"stream.held"' in mended.log)
        assert stored_ids(database_url) == []
        StreamHolds(client).resume(KEYS.events)
        wait_until_drained(client)
        mended.terminate()
        assert mended.wait(10) == 0
    assert stored_ids(database_url) == [f"e{n}" for n in range(6)]


def test_a_supervisor_that_starts_it_again_and_again_makes_no_more_events_fail(
    redis_url: str, database_url: str, client: Any
) -> None:
    put_too_many(client)
    failed = []
    for _ in range(3):
        with ProcessorProcess(redis_url, database_url, **BAD_RELEASE) as bad:
            eventually(lambda bad=bad: '"action":"stream.held"' in bad.log)
        failed.append(rows(database_url, "SELECT count(*) FROM failed_events")[0][0])
    assert failed[0] < 5
    assert failed == failed[:1] * 3
    assert '"action":"processor.started"' in bad.log


def test_with_a_higher_limit_it_goes_on(redis_url: str, database_url: str, client: Any) -> None:
    put(client, block(*(event(f"e{n}") for n in range(6))))
    with ProcessorProcess(redis_url, database_url, **BAD_RELEASE):
        eventually(lambda: held(client))
    with ProcessorProcess(redis_url, database_url, **{**BAD_RELEASE, "WEIR_FAILURE_LIMIT_COUNT": 7}):
        StreamHolds(client).resume(KEYS.events)
        wait_until_drained(client)
    assert rows(database_url, "SELECT count(*) FROM failed_events") == [(6,)]
    assert held(client) is None


def test_replays_that_fail_again_do_not_count(redis_url: str, database_url: str, client: Any) -> None:
    replayed = msgspec.structs.replace(block(*(event(f"e{n}") for n in range(6))), replayed=True)
    with ProcessorProcess(redis_url, database_url, **BAD_RELEASE) as bad:
        put(client, replayed)
        eventually(lambda: held(client) or (bad.ready and drained(client)))
        assert held(client) is None
