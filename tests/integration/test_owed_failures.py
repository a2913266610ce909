"""Failed events whose entry is lost after they were noted with it: they reach the failed events all the same."""

from collections.abc import Iterator

import pytest

from stream_processor.fence_pruning import prune_fence
from stream_processor.owed_failures import restore_owed
from tests.failing_events import POISON, Failing, failing
from tests.pipeline import KEYS, block, connect, event, execute, intake, put, rows, value


@pytest.fixture
def life(redis_url: str, database_url: str) -> Iterator[Failing]:
    with failing(redis_url, database_url) as made:
        yield made


def store_and_die(life: Failing) -> None:
    """As a processor that dies after COMMIT, before it moves what failed."""
    put(life.redis, block(event("bad", POISON), event("good")))
    life.events.store(life.events.read())


def restore(life: Failing) -> int:
    with connect(life.database_url) as connection:
        return restore_owed(connection, life.redis, KEYS.events, 0)


def failed(life: Failing) -> list[tuple[object, ...]]:
    return rows(life.database_url, "SELECT event_id, attempts FROM failed_events")


def test_what_redis_lost_with_its_data_is_restored_from_its_note_and_counted_once(life: Failing) -> None:
    store_and_die(life)
    life.redis.flushall()
    for keys in (life.events, life.dead):
        keys.reader.create_group()
    assert restore(life) == 1
    assert restore(life) == 0, "it is on its way"
    life.pass_on()
    assert restore(life) == 0
    assert failed(life) == [("bad", 1)]
    assert intake(life.database_url) == {"stored": 1, "duplicates": 0, "conflicting": 0, "failed": 1}


def test_what_is_pending_is_left_to_who_claims_it(life: Failing) -> None:
    store_and_die(life)
    assert restore(life) == 0


def test_what_was_moved_in_the_usual_way_is_not_restored_even_if_it_was_discarded(life: Failing) -> None:
    life.send(block(event("bad", POISON)))
    execute(life.database_url, "DELETE FROM failed_events")
    assert restore(life) == 0
    assert failed(life) == []


def test_what_is_on_the_dead_stream_twice_is_counted_once(life: Failing) -> None:
    store_and_die(life)
    life.redis.xtrim(KEYS.events.stream, maxlen=0, approximate=False)
    assert restore(life) == 1
    ((_, fields),) = life.redis.xrange(KEYS.dead.stream)  # type: ignore[misc]
    life.redis.xadd(KEYS.dead.stream, fields)
    life.dead.pass_on()
    life.redis.xadd(KEYS.dead.stream, fields)
    life.dead.pass_on()
    assert failed(life) == [("bad", 1)]
    assert rows(life.database_url, "SELECT later_receipts FROM failed_events") == [([],)]


def test_pruning_keeps_and_restores_what_is_owed(life: Failing) -> None:
    store_and_die(life)
    life.redis.xtrim(KEYS.events.stream, maxlen=0, approximate=False)
    life.redis.hincrby(KEYS.events.totals, "last_ms", 1000)
    execute(life.database_url, "UPDATE stored_entries SET stored_at = now() - interval '31 days'")
    with connect(life.database_url) as connection:
        assert prune_fence(connection, life.redis, KEYS.events) == 0
        life.dead.pass_on()
        assert failed(life) == [("bad", 1)]
        assert prune_fence(connection, life.redis, KEYS.events) == 1
    assert value(life.database_url, "SELECT count(*) FROM stored_entries WHERE stream = %s", KEYS.events.stream) == 0


def test_notes_of_an_earlier_release_are_moved_and_never_restored(life: Failing) -> None:
    store_and_die(life)
    execute(life.database_url, "UPDATE stored_entries SET owed = NULL")
    life.events.reader.create_group()
    found = life.events.reader.own_pending("")
    life.events.settle(life.events.store(life.events.reader.claim(found, 0, 10**6, 10**9)))
    life.dead.pass_on()
    assert failed(life) == [("bad", 1)]
    assert restore(life) == 0
