"""What a processor does beside storing: accepted counts reach PostgreSQL whole, and the fence keeps what is needed."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
import redis

from shared.accepted_counts import read_accepted
from shared.redis_functions import RedisFunction
from stream_processor.accepted_counts import COPIED_AFTER_SECONDS, DROPPED_AFTER_SECONDS, AcceptedCounts
from stream_processor.fence_pruning import prune_fence
from stream_processor.upkeep import Upkeep
from tests.pipeline import KEYS, Pipeline, block, connect, event, put, rows, value
from tests.publishing import RECEIVED_US, publish, publish_together
from tests.publishing import event as frame
from tests.publishing import request as request_of
from tests.servers import EmbeddedUnderTest

MINUTE = RECEIVED_US // 60_000_000
ENDED = (MINUTE + 1) * 60


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url) as connected:
        yield connected


def accepted(client: Any) -> dict[tuple[int, str], int]:
    return read_accepted(client, KEYS.accepted)


def copied(database_url: str) -> list[tuple[Any, ...]]:
    return rows(database_url, "SELECT bucket_start, client_id, shard, accepted FROM rollup_accepted_minute ORDER BY 2")


def test_what_is_accepted_is_counted_by_client_and_minute(any_redis: EmbeddedUnderTest) -> None:
    acme = request_of(frame("a"), frame("b"), frame("a"))
    publish_together(any_redis.url, acme, request_of(frame("c")), request_of(frame("a"), client="bravo:1"))
    publish(any_redis.url, acme, request_of())
    publish(any_redis.url, request_of(frame("d")), backlog_limit_events=1)
    with redis.Redis.from_url(any_redis.url) as client:
        assert accepted(client) == {(MINUTE, "acme"): 3, (MINUTE, "bravo:1"): 1}


def test_a_count_is_removed_only_as_it_was_copied(any_redis: EmbeddedUnderTest) -> None:
    drop = RedisFunction("stream_processor", "drop_accepted", when_full=True)
    with redis.Redis.from_url(any_redis.url) as client:
        client.hset(KEYS.accepted, mapping={"1:a": 5, "1:b": 6})
        assert drop.call(client, [KEYS.accepted], "1:a", 5, "1:b", 5, "1:c", 1) == 1
        assert accepted(client) == {(1, "b"): 6}


def test_counts_are_copied_when_their_minute_ended_and_removed_later(
    client: Any, redis_url: str, database_url: str
) -> None:
    publish(redis_url, request_of(frame("a"), frame("b")))
    counts = AcceptedCounts(client, 0)
    at = datetime.fromtimestamp(MINUTE * 60, UTC)
    with connect(database_url) as connection:
        counts.move(connection, ENDED + COPIED_AFTER_SECONDS - 1)
        assert copied(database_url) == []
        counts.move(connection, ENDED + COPIED_AFTER_SECONDS)
        assert copied(database_url) == [(at, "acme", 0, 2)]
        publish(redis_url, request_of(frame("late")))
        counts.move(connection, ENDED + COPIED_AFTER_SECONDS)
        assert copied(database_url) == [(at, "acme", 0, 3)]
        assert accepted(client) == {(MINUTE, "acme"): 3}
        assert counts.move(connection, ENDED + DROPPED_AFTER_SECONDS) == 1
        assert accepted(client) == {}
        assert counts.move(connection, ENDED + DROPPED_AFTER_SECONDS) == 0
    assert copied(database_url) == [(at, "acme", 0, 3)]


def test_a_leader_that_dies_between_the_two_steps_loses_and_doubles_nothing(
    client: Any, redis_url: str, database_url: str
) -> None:
    publish(redis_url, request_of(frame("a")))
    with connect(database_url) as connection:
        AcceptedCounts(client, 0).move(connection, ENDED + COPIED_AFTER_SECONDS)
        assert AcceptedCounts(client, 0).move(connection, ENDED + DROPPED_AFTER_SECONDS) == 1
    assert [row[3] for row in copied(database_url)] == [1]


def test_redis_that_lost_its_counts_does_not_take_away_what_was_copied(
    client: Any, redis_url: str, database_url: str
) -> None:
    publish(redis_url, request_of(frame("a"), frame("b")))
    with connect(database_url) as connection:
        AcceptedCounts(client, 0).move(connection, ENDED + COPIED_AFTER_SECONDS)
        client.flushall()
        publish(redis_url, request_of(frame("c")))
        AcceptedCounts(client, 0).move(connection, ENDED + DROPPED_AFTER_SECONDS)
    assert [row[3] for row in copied(database_url)] == [2]


def test_one_processor_at_a_time_does_it(redis_url: str, database_url: str) -> None:
    upkeep = Upkeep(1, lambda: redis.Redis.from_url(redis_url), lambda: connect(database_url))
    with connect(database_url) as other:
        other.execute("SELECT pg_advisory_lock(hashtext('weir.upkeep'))")
        assert not upkeep.round(ENDED)
    assert upkeep.round(ENDED)


@pytest.fixture
def pipeline(redis_url: str, database_url: str) -> Iterator[Pipeline]:
    pipeline = Pipeline(redis_url, database_url)
    yield pipeline
    pipeline.close()


def make_old(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE stored_entries SET stored_at = now() - interval '25 hours'")


def fenced(database_url: str) -> set[str]:
    return {entry_id for (entry_id,) in rows(database_url, "SELECT entry_id FROM stored_entries")}


def prune(pipeline: Pipeline) -> int:
    with connect(pipeline.database_url) as connection:
        return prune_fence(connection, pipeline.redis, KEYS.events)


def put_later(pipeline: Pipeline, event_id: str) -> str:
    """An entry of a later millisecond than those before."""
    last = int(pipeline.redis.hget(KEYS.events.totals, "last_ms") or 0)  # type: ignore[arg-type]
    pipeline.redis.hset(KEYS.events.totals, "last_ms", last + 1)
    return put(pipeline.redis, block(event(event_id)))


def test_the_fence_of_an_entry_that_is_still_there_is_never_removed(pipeline: Pipeline, database_url: str) -> None:
    gone, stays, after = (put_later(pipeline, event_id) for event_id in "abc")
    stored = pipeline.store(pipeline.read())
    make_old(database_url)
    assert prune(pipeline) == 0
    pipeline.settlement.settle([one for one in stored.settled if one.entry_id != stays])
    assert prune(pipeline) == 1
    assert fenced(database_url) == {stays, after}
    assert gone not in fenced(database_url)
    assert pipeline.store(stored.settled[1:2]).redelivered == 1, "it is still a no-op"


def test_the_fence_of_a_group_that_was_made_again_stays_with_its_entries(pipeline: Pipeline, database_url: str) -> None:
    put_later(pipeline, "a")
    pipeline.store(pipeline.read())
    make_old(database_url)
    pipeline.redis.xgroup_destroy(KEYS.events.stream, "weir")
    pipeline.reader.create_group()
    assert prune(pipeline) == 0
    assert pipeline.store(pipeline.read()).redelivered == 1


def test_what_is_younger_than_a_day_stays(pipeline: Pipeline, database_url: str) -> None:
    put_later(pipeline, "a")
    pipeline.pass_on()
    put_later(pipeline, "b")
    assert prune(pipeline) == 0
    make_old(database_url)
    assert prune(pipeline) == 1
    assert fenced(database_url) == set()


def test_redis_that_lost_its_data_removes_nothing_until_it_has_later_entries(
    pipeline: Pipeline, database_url: str
) -> None:
    before = put_later(pipeline, "a")
    pipeline.pass_on()
    make_old(database_url)
    pipeline.redis.flushall()
    assert prune(pipeline) == 0
    pipeline.redis.hset(KEYS.events.totals, "last_ms", int(before.partition("-")[0]) + 1)
    put_later(pipeline, "b")
    assert prune(pipeline) == 1


def test_a_large_remainder_goes_in_chunks(
    pipeline: Pipeline, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream_processor.fence_pruning.CHUNK_ROWS", 3)
    monkeypatch.setattr("stream_processor.fence_pruning.MAX_CHUNKS", 2)
    for number in range(8):
        put_later(pipeline, f"e{number}")
    pipeline.pass_on()
    put_later(pipeline, "last")
    make_old(database_url)
    assert [prune(pipeline), prune(pipeline)] == [6, 2]
    assert value(database_url, "SELECT count(*) FROM stored_entries") == 0
