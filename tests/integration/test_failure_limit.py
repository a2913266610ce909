"""A processor that makes too many events fail halts, and what it had in hand is stored by a better one."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import redis

from tests.pipeline import block, drained, event, pending, put, rows, stored_ids, wait_until_drained
from tests.processor_process import ProcessorProcess
from tests.waiting import eventually

LIMIT = {"WEIR_FAILURE_LIMIT_COUNT": 5, "WEIR_CLAIM_IDLE_SECONDS": 0.3, "WEIR_LOG_FORMAT": "json"}
BAD_RELEASE = {**LIMIT, "WEIR_ENRICHERS": "tests.bad_release:enrich"}


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url) as made:
        yield made


def test_a_bad_release_halts_and_the_mended_one_stores_all(redis_url: str, database_url: str, client: Any) -> None:
    with ProcessorProcess(redis_url, database_url, **BAD_RELEASE) as bad:
        put(client, block(event("early")))
        wait_until_drained(client)
        put(client, block(*(event(f"e{n}") for n in range(6))))
        assert bad.wait(15) == 1
        assert '"action":"loop.halted"' in bad.log
        last_line = bad.log.splitlines()[-1]
        assert "7 of 7 events failed within 60 s" in last_line
        assert "raise WEIR_FAILURE_LIMIT_COUNT" in last_line
    assert rows(database_url, "SELECT event_id FROM failed_events") == [("early",)]
    assert pending(client) == 1
    with ProcessorProcess(redis_url, database_url, **LIMIT) as mended:
        wait_until_drained(client)
        mended.terminate()
        assert mended.wait(10) == 0
    assert stored_ids(database_url) == [f"e{n}" for n in range(6)]


def test_with_a_higher_limit_it_goes_on(redis_url: str, database_url: str, client: Any) -> None:
    put(client, block(*(event(f"e{n}") for n in range(6))))
    with ProcessorProcess(redis_url, database_url, **BAD_RELEASE) as bad:
        assert bad.wait(15) == 1
    with ProcessorProcess(redis_url, database_url, **{**BAD_RELEASE, "WEIR_FAILURE_LIMIT_COUNT": 7}) as raised:
        eventually(lambda: raised.exit_code is not None or drained(client))
        assert raised.exit_code is None
    assert rows(database_url, "SELECT count(*) FROM failed_events") == [(6,)]


def test_replays_that_fail_again_do_not_count(redis_url: str, database_url: str, client: Any) -> None:
    replayed = msgspec.structs.replace(block(*(event(f"e{n}") for n in range(6))), replayed=True)
    with ProcessorProcess(redis_url, database_url, **BAD_RELEASE) as bad:
        put(client, replayed)
        eventually(lambda: bad.exit_code is not None or (bad.ready and drained(client)))
        assert bad.exit_code is None
