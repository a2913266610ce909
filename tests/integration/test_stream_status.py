"""How full the streams are, on every supported server."""

import asyncio
from collections.abc import Iterator

import pytest
import redis
import redis.asyncio

from shared.redis_keys import ShardKeys
from shared.stream_status import StreamStatus, read_stream_status, read_stream_status_async
from tests.accepted_events import append, settle, take
from tests.servers import EmbeddedUnderTest

EVENTS = ShardKeys(0).events


@pytest.fixture
def client(any_redis: EmbeddedUnderTest) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(any_redis.url) as client:
        yield client


def status(client: "redis.Redis", name: str = "events") -> StreamStatus:
    (found,) = [each for each in read_stream_status(client, 1) if each.name == name]
    assert min(found.length, found.lag, found.pending, found.oldest_age_seconds) >= 0
    assert found.lag + found.pending == found.length
    return found


def counts(client: "redis.Redis") -> tuple[int, int, int]:
    found = status(client)
    return found.length, found.lag, found.pending


def test_streams_that_are_not_there_are_empty(client: "redis.Redis") -> None:
    found = read_stream_status(client, 2)
    assert [(each.name, each.shard) for each in found] == [
        (name, shard) for shard in (0, 1) for name in ("events", "audit", "dead")
    ]
    assert {(each.length, each.lag, each.pending, each.oldest_age_seconds, each.consumers) for each in found} == {
        (0, 0, 0, 0.0, ())
    }


def test_events_are_counted_however_many_an_entry_holds(client: "redis.Redis") -> None:
    for n in (500, 3, 1):
        append(client, EVENTS, n)
    assert counts(client) == (504, 504, 0)
    first = take(client, EVENTS)
    assert counts(client) == (504, 4, 500)
    second = take(client, EVENTS)
    assert counts(client) == (504, 1, 503)
    settle(client, EVENTS, second, 3)
    assert counts(client) == (501, 1, 500)
    settle(client, EVENTS, first, 500)
    assert counts(client) == (1, 1, 0)
    settle(client, EVENTS, take(client, EVENTS), 1)
    assert counts(client) == (0, 0, 0)
    assert status(client).oldest_age_seconds == 0


def test_the_oldest_event_is_the_oldest_not_settled(client: "redis.Redis") -> None:
    first, _ = append(client, EVENTS, 10)
    second, _ = append(client, EVENTS, 10)
    now_ms = second + 5000

    def age_ms() -> float:
        return read_stream_status(client, 1, now_ms)[0].oldest_age_seconds * 1000

    assert age_ms() == now_ms - first
    entry_id = take(client, EVENTS)
    assert age_ms() == now_ms - first
    settle(client, EVENTS, entry_id, 10)
    assert age_ms() == now_ms - second


def test_consumers_tell_what_they_hold(client: "redis.Redis") -> None:
    append(client, EVENTS, 7)
    append(client, EVENTS, 7)
    take(client, EVENTS, "p1")
    take(client, EVENTS, "p2")
    consumers = status(client).consumers
    assert [(each.name, each.stream, each.shard, each.pending) for each in consumers] == [
        ("p1", "events", 0, 1),
        ("p2", "events", 0, 1),
    ]
    assert all(0 <= each.idle_seconds < 60 for each in consumers)


@pytest.mark.parametrize("entry_id", ["*", "99999999999999-0", "99999999999999-99999"])
def test_entries_of_another_hand_never_make_numbers_negative(client: "redis.Redis", entry_id: str) -> None:
    append(client, EVENTS, 5)
    client.xadd(EVENTS.stream, {"who": "knows"}, id=entry_id)
    append(client, EVENTS, 5)
    status(client)
    for _ in range(3):
        taken = take(client, EVENTS)
        status(client)
        settle(client, EVENTS, taken, 5)
        status(client)
    assert counts(client) == (0, 0, 0)


def test_a_stream_emptied_by_hand_is_empty(client: "redis.Redis") -> None:
    append(client, EVENTS, 5)
    client.xtrim(EVENTS.stream, maxlen=0, approximate=False)
    assert counts(client) == (0, 0, 0)


def test_another_group_is_not_ours(client: "redis.Redis") -> None:
    append(client, EVENTS, 5)
    client.xgroup_create(EVENTS.stream, "another", id="0")
    client.xreadgroup("another", "c", {EVENTS.stream: ">"})
    assert counts(client) == (5, 5, 0)
    assert status(client).consumers == ()


def test_a_key_that_is_no_stream_is_an_error(client: "redis.Redis") -> None:
    client.set(EVENTS.stream, "x")
    with pytest.raises(redis.ResponseError):
        read_stream_status(client, 1)


@pytest.mark.parametrize("decode", [False, True])
def test_the_asyncio_reader_sees_the_same(client: "redis.Redis", any_redis: EmbeddedUnderTest, decode: bool) -> None:
    append(client, EVENTS, 5)
    append(client, ShardKeys(1).audit, 2)
    take(client, EVENTS)

    async def read() -> list[StreamStatus]:
        async with redis.asyncio.Redis.from_url(any_redis.url, decode_responses=decode) as asyncio_client:
            return await read_stream_status_async(asyncio_client, 2, now_ms=0)

    found, expected = asyncio.run(read()), read_stream_status(client, 2, now_ms=0)
    assert [(each.length, each.lag, each.pending, each.oldest_age_seconds) for each in found] == [
        (each.length, each.lag, each.pending, each.oldest_age_seconds) for each in expected
    ]
    assert [c.name for each in found for c in each.consumers] == ["p1"]


def test_no_entry_is_read_while_something_is_pending(client: "redis.Redis") -> None:
    append(client, EVENTS, 5, b"x" * 1_000_000)
    append(client, EVENTS, 5, b"x" * 1_000_000)
    take(client, EVENTS)
    client.config_resetstat()
    status(client)
    assert "cmdstat_xrange" not in client.info("commandstats")
