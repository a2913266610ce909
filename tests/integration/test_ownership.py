"""A batch that was held for long: what others have stored since is left to them, also when the fence forgot it."""

from collections.abc import Iterator
from typing import Any

import pytest

from shared.audit_record import encode_record, encode_record_head
from stream_processor.audit_sink import AuditSink
from stream_processor.entries import StreamEntry
from stream_processor.fence_pruning import prune_fence
from stream_processor.ownership import Ownership
from stream_processor.partitions import DayPartitions
from stream_processor.storage import Stored, store
from tests.accepted_events import append
from tests.fault_proxy import FaultProxy
from tests.pipeline import (
    KEYS,
    Pipeline,
    block,
    connect,
    event,
    execute,
    intake,
    now_us,
    pending,
    processing,
    put,
    rows,
    stored_ids,
    wait_until_drained,
)
from tests.waiting import eventually


@pytest.fixture
def pipelines(redis_url: str, database_url: str) -> Iterator[tuple[Pipeline, Pipeline]]:
    made = Pipeline(redis_url, database_url, name="frozen"), Pipeline(redis_url, database_url, name="heir")
    yield made
    for pipeline in made:
        pipeline.close()


def store_in_doubt(pipeline: Pipeline, entries: Any) -> Stored:
    keys = pipeline.source.keys
    ownership = Ownership(pipeline.redis, keys, pipeline.reader.consumer, 0)
    return store(
        pipeline.connection,
        pipeline.source,
        pipeline.prepare(entries),
        pipeline.partitions.forget,
        None,
        None,
        ownership,
    )


def take_over(heir: Pipeline) -> list[StreamEntry]:
    found = eventually(lambda: heir.reader.idle_pending(1, ""))
    return heir.reader.claim(found, 1, 10**6, 10**9)


def inherit(heir: Pipeline) -> None:
    """Take over all that is pending, store and settle it."""
    heir.settle(heir.store(take_over(heir)))


def forget_fence(pipeline: Pipeline) -> None:
    """As a day later: the rows of all that has left the stream are gone."""
    keys = pipeline.source.keys
    pipeline.redis.hincrby(keys.totals, "last_ms", 1000)
    execute(pipeline.database_url, "UPDATE stored_entries SET stored_at = now() - interval '25 hours'")
    with connect(pipeline.database_url) as connection:
        assert prune_fence(connection, pipeline.redis, keys) > 0


def test_what_was_taken_over_and_stored_is_not_counted_again_after_the_fence_forgot_it(
    pipelines: tuple[Pipeline, Pipeline], database_url: str
) -> None:
    frozen, heir = pipelines
    put(frozen.redis, block(event("a")))
    entries = frozen.read()
    inherit(heir)
    forget_fence(heir)
    put(frozen.redis, block(event("b")))
    entries += frozen.read()
    stored = store_in_doubt(frozen, entries)
    assert [entry.entry_id for entry in stored.settled] == [entries[1].entry_id]
    frozen.settle(stored)
    assert stored_ids(database_url) == ["a", "b"]
    assert intake(database_url) == {"stored": 2, "duplicates": 0, "conflicting": 0, "failed": 0}


def test_audit_rows_are_not_written_twice_after_the_fence_forgot_them(redis_url: str, database_url: str) -> None:
    sink = AuditSink(DayPartitions(lambda: connect(database_url)))
    frozen, heir = (
        Pipeline(redis_url, database_url, name=name, keys=KEYS.audit, sink=sink) for name in ("frozen", "heir")
    )
    append(frozen.redis, KEYS.audit, 1, one_record())
    entries = frozen.read()
    inherit(heir)
    forget_fence(heir)
    assert store_in_doubt(frozen, entries) == Stored([], [], 0)
    assert rows(database_url, "SELECT count(*) FROM audit_logs") == [(1,)]
    for pipeline in (frozen, heir):
        pipeline.close()


def test_what_another_has_in_hand_and_not_stored_is_left_to_it_unmarked(
    pipelines: tuple[Pipeline, Pipeline], database_url: str
) -> None:
    frozen, heir = pipelines
    put(frozen.redis, block(event("a")))
    entries = frozen.read()
    taken = take_over(heir)
    assert store_in_doubt(frozen, entries) == Stored([], [], 0)
    assert stored_ids(database_url) == []
    stored = heir.store(taken)
    assert (stored.settled, stored.redelivered) == (taken, 0)
    assert stored_ids(database_url) == ["a"]


def test_what_is_still_ones_own_is_stored_and_kept(pipelines: tuple[Pipeline, Pipeline], database_url: str) -> None:
    frozen, heir = pipelines
    put(frozen.redis, block(event("a")))
    entries = frozen.read()
    assert store_in_doubt(frozen, entries).settled == entries
    assert heir.reader.idle_pending(60_000, "") == {}


def test_what_redis_has_lost_with_its_data_is_stored_all_the_same(
    pipelines: tuple[Pipeline, Pipeline], database_url: str
) -> None:
    frozen, _ = pipelines
    put(frozen.redis, block(event("a"), event("b")))
    entries = frozen.read()
    frozen.redis.flushall()
    assert store_in_doubt(frozen, entries).settled == entries
    put(frozen.redis, block(event("c")))
    assert len(stored_ids(database_url)) == 2
    assert store_in_doubt(frozen, entries).redelivered == 1


def test_a_processor_that_was_cut_off_stores_what_is_still_its_own(redis_url: str, database_url: str) -> None:
    pipeline = Pipeline(redis_url, database_url, name="watch")
    with FaultProxy(database_url) as proxy, processing(redis_url, proxy.url, claim_idle_seconds=0.3):
        put(pipeline.redis, block(event("first")))
        wait_until_drained(pipeline.redis)
        proxy.refuse()
        proxy.cut()
        put(pipeline.redis, block(event("a")))
        eventually(lambda: pending(pipeline.redis) == 1)
        proxy.resume()
        wait_until_drained(pipeline.redis)
    assert stored_ids(database_url) == ["a", "first"]
    pipeline.close()


def one_record() -> bytes:
    head = encode_record_head(now_us(), "gateway", "g", "acme", "k", "POST", "/e", "/e", "", 1, "::1", "", "r")
    return b"\x91" + encode_record(head, 202, "")  # an array of one
