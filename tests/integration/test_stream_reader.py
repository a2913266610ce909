"""One consumer's reading and claiming, on every supported kind of Redis and in both protocols."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError
from redis.retry import Retry

from deploy.fleet.left_entries import release_left_entries
from shared.redis_keys import GROUP
from stream_processor.entries import StreamEntry
from stream_processor.stream_reader import StreamReader, is_group_lost
from tests.pipeline import KEYS, block, event, pending, put
from tests.servers import EmbeddedUnderTest
from tests.waiting import eventually

STREAM = KEYS.events.stream
NO_LIMIT = (10**6, 10**9)


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def client(request: pytest.FixtureRequest, any_redis: EmbeddedUnderTest) -> Iterator[Any]:
    with redis.Redis.from_url(
        any_redis.url, protocol=request.param, socket_timeout=4, retry=Retry(NoBackoff(), 0)
    ) as made:
        yield made


def reader(client: Any, name: str = "p1") -> StreamReader:
    made = StreamReader(client, KEYS.events, name)
    made.create_group()
    return made


def put_each(client: Any, *ids: str, payload: bytes = b"{}") -> list[str]:
    """An entry for each event; returns the entries' ids."""
    return [put(client, block(event(event_id, payload))) for event_id in ids]


def ids(entries: list[StreamEntry]) -> list[str]:
    return [entry.entry_id for entry in entries]


def test_new_entries_come_in_order_with_their_counts_and_bytes(client: Any) -> None:
    first = put(client, block(event("a"), event("b")))
    second = put(client, block(event("c")))
    entries = reader(client).read_new(*NO_LIMIT)
    assert [(entry.entry_id, entry.events, entry.deliveries) for entry in entries] == [(first, 2, 1), (second, 1, 1)]
    assert [entry.blob for entry in entries] == [fields[b"e"] for _, fields in client.xrange(STREAM)]
    assert reader(client).read_new(*NO_LIMIT) == []


def test_waiting_brings_the_next_entry_or_nothing(client: Any) -> None:
    waiting = reader(client)
    assert waiting.wait_for_new(20) == []
    (entry_id,) = put_each(client, "a")
    assert ids(waiting.wait_for_new(20)) == [entry_id]


def test_a_read_stops_at_its_events(client: Any) -> None:
    put_each(client, *"abcde")
    assert len(reader(client).read_new(3, 10**9)) == 3
    assert len(reader(client).read_new(*NO_LIMIT)) == 2


def test_a_read_stops_at_its_bytes_even_where_sizes_jump(client: Any) -> None:
    small = put_each(client, *(f"small{n}" for n in range(50)))
    large = put_each(client, *(f"large{n}" for n in range(5)), payload=b'"' + b"x" * 1_000_000 + b'"')
    bounded = reader(client)
    assert ids(bounded.read_new(5000, 1_500_000)) == [*small, *large[:2]]
    assert ids(bounded.read_new(5000, 1_500_000)) == large[2:4]
    assert ids(bounded.read_new(5000, 1_500_000)) == large[4:]


def test_claims_stop_at_their_bytes_too(client: Any) -> None:
    put_each(client, *"abcd", payload=b'"' + b"x" * 1_000_000 + b'"')
    reader(client, "dead").read_new(*NO_LIMIT)
    heir = reader(client, "heir")
    eventually(lambda: len(heir.idle_pending(20, "")) == 4)
    assert len(heir.claim(heir.idle_pending(20, ""), 20, 5000, 1_500_000)) == 2


def test_an_entry_of_another_hand_is_delivered_as_unreadable(client: Any) -> None:
    client.xadd(STREAM, {"colour": "red"})
    client.xadd(STREAM, {"n": "999999999999999999999", "e": "x"})
    entries = reader(client).read_new(*NO_LIMIT)
    assert [(entry.events, entry.blob) for entry in entries] == [(0, None), (0, b"x")]


def test_what_was_delivered_and_not_acknowledged_is_found_again(client: Any) -> None:
    put_each(client, "a", "b")
    lost = reader(client).read_new(*NO_LIMIT)
    again = reader(client)
    found = again.own_pending("")
    assert list(found) == ids(lost)
    assert again.own_pending(ids(lost)[-1]) == {}
    entries = again.claim(found, 0, *NO_LIMIT)
    assert [(entry.entry_id, entry.blob, entry.deliveries) for entry in entries] == [
        (entry.entry_id, entry.blob, 1) for entry in lost
    ]


def test_pending_entries_come_page_by_page(client: Any) -> None:
    made = put_each(client, *(f"e{n}" for n in range(250)))
    paging = reader(client)
    while paging.read_new(*NO_LIMIT):  # MAX_ENTRIES at a time
        pass
    seen: list[str] = []
    while page := paging.own_pending(seen[-1] if seen else ""):
        seen += page
    assert seen == made


def test_entries_of_the_dead_are_claimed_and_those_of_the_living_are_not(client: Any) -> None:
    old = put_each(client, "old")
    reader(client, "dead").read_new(*NO_LIMIT)
    heir = reader(client, "heir")
    assert heir.idle_pending(60_000, "") == {}
    eventually(lambda: heir.idle_pending(100, ""))
    put_each(client, "new")
    reader(client, "living").read_new(*NO_LIMIT)
    idle = heir.idle_pending(100, "")
    assert list(idle) == old
    assert ids(heir.claim(idle, 100, *NO_LIMIT)) == old
    assert list(heir.own_pending("")) == old


def test_of_two_that_claim_the_same_entry_one_gets_it(client: Any) -> None:
    put_each(client, "a")
    reader(client, "dead").read_new(*NO_LIMIT)
    one, other = reader(client, "one"), reader(client, "other")
    found = eventually(lambda: one.idle_pending(50, ""))
    assert len(one.claim(found, 50, *NO_LIMIT)) == 1
    assert other.claim(found, 50, *NO_LIMIT) == []


def test_keeping_an_entry_prevents_its_claim(client: Any) -> None:
    kept, left = put_each(client, "kept", "left")
    busy, other = reader(client, "busy"), reader(client, "other")
    busy.read_new(*NO_LIMIT)
    eventually(lambda: len(other.idle_pending(200, "")) == 2)
    assert busy.keep([kept]) == 1
    assert list(other.idle_pending(200, "")) == [left]


def test_keeping_does_not_take_back_what_another_has_claimed(client: Any) -> None:
    (entry_id,) = put_each(client, "a")
    slow, heir = reader(client, "slow"), reader(client, "heir")
    slow.read_new(*NO_LIMIT)
    heir.claim(eventually(lambda: heir.idle_pending(10, "")), 10, *NO_LIMIT)
    assert slow.keep([entry_id]) == 0
    assert list(heir.own_pending("")) == [entry_id]


def test_keeping_does_not_count_as_a_delivery(client: Any) -> None:
    (entry_id,) = put_each(client, "a")
    busy = reader(client)
    busy.read_new(*NO_LIMIT)
    busy.keep([entry_id])
    assert busy.own_pending("") == {entry_id: 1}


def test_a_consumer_with_pending_entries_does_not_leave(client: Any) -> None:
    (entry_id,) = put_each(client, "a")
    leaving = reader(client)
    leaving.read_new(*NO_LIMIT)
    assert not leaving.leave()
    assert pending(client) == 1
    client.xack(STREAM, GROUP, entry_id)
    assert leaving.leave()
    assert client.xinfo_consumers(STREAM, GROUP) == []


def test_pending_entries_that_were_deleted_are_passed_over_and_forgotten(client: Any) -> None:
    gone, there = put_each(client, "gone", "there")
    losing = reader(client)
    losing.read_new(*NO_LIMIT)
    client.xdel(STREAM, gone)
    assert ids(losing.claim(losing.own_pending(""), 0, *NO_LIMIT)) == [there]
    assert list(losing.own_pending("")) == [there]


def test_a_group_begins_with_what_was_there_before_it(client: Any) -> None:
    made = put_each(client, "a")
    assert ids(reader(client).read_new(*NO_LIMIT)) == made


def test_making_a_group_that_is_there_changes_nothing(client: Any) -> None:
    put_each(client, "a")
    reader(client).read_new(*NO_LIMIT)
    reader(client).create_group()
    assert reader(client).read_new(*NO_LIMIT) == []


def test_every_call_tells_when_redis_has_lost_the_group(client: Any) -> None:
    losing = reader(client)
    client.flushall()
    for call in (
        lambda: losing.read_new(*NO_LIMIT),
        lambda: losing.wait_for_new(10),
        lambda: losing.own_pending(""),
        lambda: losing.idle_pending(10, ""),
    ):
        with pytest.raises(ResponseError) as caught:
            call()
        assert is_group_lost(caught.value)


def test_a_full_redis_still_delivers_keeps_and_lets_go(client: Any) -> None:
    entry_id, behind = put_each(client, "a", "b")
    before = reader(client, "before")
    before.read_new(1, 1)
    before.keep([entry_id])
    before.leave()  # each function is loaded by its first call, and a full Redis takes no new ones
    client.config_set("maxmemory", 1)
    try:
        full = reader(client)
        assert ids(full.read_new(*NO_LIMIT)) == [behind]
        assert full.keep([behind]) == 1
        assert len(full.claim(full.own_pending(""), 0, *NO_LIMIT)) == 1
        assert not full.leave()
    finally:
        client.config_set("maxmemory", 0)


def test_what_killed_consumers_held_can_be_claimed_at_once_when_it_is_released(client: Any) -> None:
    ids = put_each(client, "a", "b")
    old, new = reader(client, "old"), reader(client, "new")
    assert release_left_entries(client, 2, 3600) == 0
    assert len(old.read_new(*NO_LIMIT)) == 2
    assert new.idle_pending(3_600_000, "") == {}
    assert release_left_entries(client, 2, 3600) == 2
    assert new.idle_pending(3_600_000, "") == dict.fromkeys(ids, 1)
    assert [entry.entry_id for entry in new.claim(dict.fromkeys(ids, 1), 3_600_000, *NO_LIMIT)] == ids


def test_what_a_living_consumer_takes_back_is_not_counted_as_delivered_again(client: Any) -> None:
    """A delivery counts because a process may have died of it."""
    own, other = reader(client), reader(client, "p2")
    put_each(client, "a")
    own.read_new(*NO_LIMIT)
    for _ in range(3):
        (entry,) = own.claim(own.own_pending(""), 0, *NO_LIMIT)
        assert entry.deliveries == 1
    assert other.claim(own.own_pending(""), 0, *NO_LIMIT) == []
