"""What one publisher call does to a shard: once per id, counted in events, all of it or nothing."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.connections import async_redis
from ingest_gateway.publisher import ACCEPTED, BACKLOG_FULL, LIMITED, Publisher
from ingest_gateway.storage_wait import StorageWait
from shared.problems import Problem
from shared.stream_entry import EventFrame
from tests.cutting_proxy import CuttingProxy
from tests.publishing import (
    KEYS,
    audit_entries,
    audited,
    config,
    entries,
    event,
    kept_ids,
    publish,
    publish_together,
    publishing,
    request,
)
from tests.servers import EmbeddedUnderTest
from tests.waiting import eventually


@pytest.fixture
def client(any_redis: EmbeddedUnderTest) -> Iterator[Any]:
    with redis.Redis.from_url(any_redis.url) as connected:
        yield connected


@pytest.fixture
def url(any_redis: EmbeddedUnderTest) -> str:
    return any_redis.url


def duplicates(published: Any) -> list[tuple[int, str, bool]]:
    """Place, the id of the first one, and whether its payload was the same."""
    return [(one.place, f"{one.ms}-{one.seq}", bool(one.same_payload)) for one in published.result.duplicates]


def test_a_repeat_inside_a_request_is_kept_once_and_named_by_its_place(url: str, client: redis.Redis) -> None:
    [told] = publish(url, request(event("a"), event("b"), event("a"), event("a", b'{"x":1}')))
    assert (told.result.outcome, told.result.kept) == (ACCEPTED, 2)
    first = f"{told.ms}-{told.result.last - 1}"
    assert duplicates(told) == [(2, first, True), (3, first, False)]
    assert kept_ids(client) == ["a", "b"]


def test_a_repeat_in_another_request_of_the_same_call_is_kept_once(url: str, client: redis.Redis) -> None:
    one, two = publish_together(url, request(event("a")), request(event("a"), event("b")))
    assert [one.result.kept, two.result.kept] == [1, 1]
    assert duplicates(two) == [(0, f"{one.ms}-{one.result.last}", True)]
    assert kept_ids(client) == ["a", "b"]
    assert len(entries(client)) == 1


def test_a_repeat_in_a_later_call_is_known_by_the_entry_id_of_the_first(url: str, client: redis.Redis) -> None:
    first, again = publish(url, request(event("a")), request(event("a", b'{"other":1}')))
    assert again.result.kept == 0
    assert duplicates(again) == [(0, f"{first.ms}-{first.result.last}", False)]
    assert len(entries(client)) == 1


def test_the_same_id_of_another_client_is_another_event(url: str, client: redis.Redis) -> None:
    told = publish(url, request(event("a"), client="acme"), request(event("a"), client="bravo"))
    assert [one.result.kept for one in told] == [1, 1]
    assert [blocks[0].client_id for _, _, blocks in entries(client)] == ["acme", "bravo"]


def test_the_filter_remembers_across_one_rotation_and_never_holds_more_than_its_bound(
    url: str, client: redis.Redis
) -> None:
    most, size = 40, 10
    batches = [request(*(event(f"{batch}-{place}") for place in range(size))) for batch in range(20)]

    async def act(publisher: Publisher) -> None:
        for batch in batches:
            assert (await publisher.publish(batch)).result.kept == size
            assert client.hlen(KEYS.ids) + client.hlen(KEYS.ids_before) <= most
        assert (await publisher.publish(batches[-2])).result.kept == 0
        assert (await publisher.publish(batches[0])).result.kept == size, "long forgotten; PostgreSQL finds it"

    publishing(url, act, duplicate_max_ids=most)


def test_the_filter_forgets_after_two_windows(url: str, client: redis.Redis) -> None:
    async def act(publisher: Publisher) -> None:
        await publisher.publish(request(event("a")))
        for window in (1, 2):
            client.hset(KEYS.events.totals, "ids_since", 0)  # as if the window had passed
            told = await publisher.publish(request(event(f"w{window}")))
            assert told.result.kept == 1
        assert (await publisher.publish(request(event("a")))).result.kept == 1

    publishing(url, act)


def test_every_generation_of_the_filter_expires_should_no_call_come_again(url: str, client: redis.Redis) -> None:
    def lifetimes() -> list[int]:
        return [client.pttl(key) for key in (KEYS.ids, KEYS.ids_before)]

    async def act(publisher: Publisher) -> None:
        await publisher.publish(request(event("a")))
        client.pexpire(KEYS.ids, 1_000_000)
        await publisher.publish(request(event("b")))
        current, none = lifetimes()
        assert (0 < current <= 1_000_000, none) == (True, -2), "its time runs from when it was made"
        client.persist(KEYS.ids)
        await publisher.publish(request(event("c")))
        assert lifetimes()[0] > 1_000_000
        client.persist(KEYS.ids)
        client.hset(KEYS.events.totals, "ids_since", 0)  # as if the window had passed
        await publisher.publish(request(event("d")))
        assert all(1_000_000 < one <= 1_200_000 for one in lifetimes()), "whatever another hand did to it"

    publishing(url, act)


def test_a_window_that_is_raised_holds_for_the_ids_that_come_from_then_on(url: str, client: redis.Redis) -> None:
    publish(url, request(event("a")), duplicate_window_seconds=1)
    publish(url, request(event("b")), duplicate_window_seconds=3600)
    assert client.pttl(KEYS.ids) > 3_600_000


SIZES = (0, 1, 32, 33, 127, 128, 129, 255, 256, 2**15, 2**15 + 1, 2**16, 2**31, 2**31 + 1, 2**32, 2**51, 2**62)
SHAPES = {
    "event_id": st.one_of(st.text(min_size=1, max_size=6), st.integers(30, 128).map("é".__mul__)),
    "event_type": st.sampled_from(["t", "t" * 31, "t" * 32, "t" * 128]),
    "occurred_us": st.sampled_from([None, *(sign * size for sign in (1, -1) for size in SIZES)]),
    "payload": st.sampled_from([b"{}", b"p" * 254, b"p" * 255, b"p" * 256, b"p" * 65_535, b"p" * 65_536]),
    "payload_crc": st.sampled_from([0, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1]),
}


EVENTS = st.lists(st.builds(EventFrame, **SHAPES), min_size=1, max_size=20, unique_by=lambda one: one.event_id)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(EVENTS, st.data())
def test_dropping_repeats_leaves_the_other_events_as_they_were_sent(
    url: str, client: redis.Redis, events: list[EventFrame], data: st.DataObject
) -> None:
    repeats = data.draw(st.lists(st.sampled_from(events), min_size=1, max_size=10))
    mixed = data.draw(st.permutations([*events, *repeats]))
    client.flushdb()
    [told] = publish(url, request(*mixed))
    [(entry_id, count, [block])] = entries(client)
    kept: dict[str, EventFrame] = {}
    for one in mixed:
        kept.setdefault(one.event_id, one)
    assert block.events == list(kept.values())
    assert told.result.kept == count == len(events)
    assert entry_id == f"{told.ms}-{told.entry_seq}"


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 255, 256, 999, 1000])
def test_every_size_of_block_survives_the_dropping_of_any_of_its_events(
    url: str, client: redis.Redis, count: int
) -> None:
    events = [event(f"e{place}") for place in range(count)]
    for dropped in ({0}, {count - 1}, set(range(0, count, 2))):
        client.flushdb()
        known = [one for place, one in enumerate(events) if place in dropped]
        _, told = publish(url, request(*known), request(*events))
        fresh = [one for place, one in enumerate(events) if place not in dropped]
        assert told.result.kept == len(fresh)
        assert [blocks[0].events for _, _, blocks in entries(client)[1:]] == ([fresh] if fresh else [])


def test_a_request_as_large_as_settings_allow_is_one_call(url: str, client: redis.Redis) -> None:
    events = [event(f"e{place}") for place in range(10_000)]
    told = publish(url, request(*events), request(*events))
    assert [one.result.kept for one in told] == [10_000, 0]
    assert len(told[1].result.duplicates) == 10_000
    assert len(entries(client)) == 1


def test_entry_ids_count_events_and_so_do_the_totals(url: str, client: redis.Redis) -> None:
    told = publish(url, *(request(*(event(f"{n}-{place}") for place in range(n))) for n in (1, 3, 5)))
    assert [one.result.last for one in told] == [1, 4, 9]
    assert [int(entry_id.partition("-")[2]) for entry_id, _, _ in entries(client)] == [1, 4, 9]
    assert client.hget(KEYS.events.totals, "added") == b"9"
    assert client.hget(KEYS.audit.totals, "added") == b"3"


def test_requests_that_arrive_during_a_call_share_the_next_one(url: str, client: redis.Redis) -> None:
    async def act(publisher: Publisher) -> list[Any]:
        first = asyncio.create_task(publisher.publish(request(event("e0"))))
        for _ in range(3):  # the loop's steps until the call is on its way
            await asyncio.sleep(0)
        later = [publisher.publish(request(event(f"e{place}"))) for place in range(1, 50)]
        return list(await asyncio.gather(first, *later))

    told = publishing(url, act)
    assert [one.result.kept for one in told] == [1] * 50
    assert [count for _, count, _ in entries(client)] == [1, 49]
    assert [len(records) for records in audit_entries(client)] == [1, 49]
    assert len({(one.ms, one.result.last) for one in told}) == 50


def test_the_audit_record_of_every_request_says_what_became_of_it(url: str, client: redis.Redis) -> None:
    told = publish_together(
        url,
        request(event("a"), limit=1),
        request(event("b"), limit=1),
        request(event("c"), key_id="other", limit=1),
        request(key_id=None),
    )
    assert [one.result.outcome for one in told] == [ACCEPTED, LIMITED, ACCEPTED, ACCEPTED]
    assert audited(client) == [(202, ""), (429, "rate-limited"), (202, ""), (202, "")]
    assert kept_ids(client) == ["a", "c"]


def test_a_refused_request_leaves_no_id_behind_in_the_filter(url: str, client: redis.Redis) -> None:
    publish(url, request(event("a"), limit=1), request(event("b"), limit=1))
    assert client.hkeys(KEYS.ids) == [b"acme\0a"]


def test_a_limit_that_is_used_up_tells_what_is_left_and_when_it_ends(url: str, client: redis.Redis) -> None:
    told = publish(url, *(request(event(f"e{place}"), limit=2) for place in range(3)), window_seconds=7)
    assert [(one.result.outcome, one.result.remaining) for one in told] == [(ACCEPTED, 1), (ACCEPTED, 0), (LIMITED, 0)]
    assert all(6_000_000 < one.result.reset_us <= 7_000_000 for one in told)


def test_beyond_the_backlog_limit_nothing_is_accepted_until_events_are_settled(url: str, client: redis.Redis) -> None:
    async def act(publisher: Publisher) -> None:
        full = [await publisher.publish(request(event(f"e{place}"), limit=9)) for place in range(4)]
        assert [one.result.outcome for one in full] == [ACCEPTED, ACCEPTED, ACCEPTED, BACKLOG_FULL]
        assert full[-1].result.remaining == 6, "what is refused for the backlog does not use up the limit"
        assert kept_ids(client) == ["e0", "e1", "e2"]
        client.hincrby(KEYS.events.totals, "settled", 1)
        assert (await publisher.publish(request(event("e3"), limit=9))).result.outcome == ACCEPTED

    publishing(url, act, backlog_limit_events=3)
    assert audited(client)[3] == (503, "backlog-full")


def test_a_call_without_events_is_never_refused_for_the_backlog(url: str, client: redis.Redis) -> None:
    told = publish(url, request(event("a")), request(), backlog_limit_events=1)
    assert told[1].result.outcome == ACCEPTED


def test_an_entry_of_another_hand_from_the_future_does_not_stop_publishing(url: str, client: redis.Redis) -> None:
    client.xadd(KEYS.events.stream, {"n": 1, "e": b"\x90"}, id="4102444800000-7")
    client.xadd(KEYS.audit.stream, {"n": 1, "e": b"\x90"}, id="4102444800000-7")
    told = publish(url, request(event("a"), event("a")), request(event("b")), request(event("a")))
    ours = [entry_id for entry_id, _, _ in entries(client)[1:]]
    assert ours == [f"{one.ms}-{one.entry_seq}" for one in told[:2]], "the answer names the entry that is there"
    assert duplicates(told[0]) == [(1, ours[0], True)]
    assert duplicates(told[2]) == [(0, ours[0], True)]


def test_a_server_whose_clock_steps_back_goes_on_from_the_last_entry(url: str, client: redis.Redis) -> None:
    [first] = publish(url, request(event("a")))
    client.hset(KEYS.events.totals, "last_ms", first.ms + 3_600_000)
    [told] = publish(url, request(event("b")))
    assert told.ms == first.ms + 3_600_000
    assert entries(client)[-1][0] == f"{told.ms}-2"


def test_a_full_redis_accepts_nothing_and_goes_on_when_there_is_room(url: str, client: redis.Redis) -> None:
    async def act(publisher: Publisher) -> None:
        await publisher.publish(request(event("a")))
        client.config_set("maxmemory", "1")
        try:
            with pytest.raises(Problem) as refused:
                await publisher.publish(request(event("b")))
            assert (refused.value.type, refused.value.retry_after) == ("backlog-full", 5)
        finally:
            client.config_set("maxmemory", "0")
        assert kept_ids(client) == ["a"]
        assert len(audit_entries(client)) == 1
        assert (await publisher.publish(request(event("b")))).result.kept == 1

    publishing(url, act)


def test_a_server_that_lost_data_and_functions_is_served_like_a_new_one(url: str, client: redis.Redis) -> None:
    async def act(publisher: Publisher) -> None:
        await publisher.publish(request(event("a")))
        client.flushall()
        client.function_flush()
        assert (await publisher.publish(request(event("a")))).result.kept == 1

    publishing(url, act)


def test_nobody_is_told_that_events_are_stored_which_redis_lost(url: str, client: redis.Redis) -> None:
    async def act() -> None:
        async with async_redis(url, 2) as own:
            sent = request(event("a"))
            published = await Publisher(own, config(), 0).publish(sent)
            assert not await StorageWait(own).until_stored(published, sent.ids, 0, 0.05)
            client.flushall()
            assert not await StorageWait(own).until_stored(published, sent.ids, 0, 5)

    asyncio.run(act())


def test_a_cut_answer_is_unavailable_and_the_call_is_never_sent_twice(url: str, client: redis.Redis) -> None:
    async def act() -> None:
        async with CuttingProxy(url) as proxy, async_redis(proxy.url, 2) as through:
            publisher = Publisher(through, config(), 0)
            await publisher.publish(request(event("before")))
            proxy.cut_answers = True
            with pytest.raises(Problem) as failed:
                await publisher.publish(request(event("cut")))
            assert (failed.value.status, failed.value.type) == (503, "unavailable")
            proxy.cut_answers = False
            again = await publisher.publish(request(event("cut")))
            assert (again.result.kept, len(again.result.duplicates)) == (0, 1)

    asyncio.run(act())
    assert kept_ids(client) == ["before", "cut"]
    assert len(audit_entries(client)) == 3


def test_a_redis_that_hangs_is_unavailable_within_the_time_out_and_applied_at_most_once(
    url: str, client: redis.Redis
) -> None:
    async def act() -> None:
        async with async_redis(url, 0.2) as impatient:
            publisher = Publisher(impatient, config(), 0)
            await publisher.publish(request(event("before")))
            client.client_pause(600, all=True)
            told = await asyncio.gather(
                *(publisher.publish(request(event(f"e{place}"))) for place in range(3)), return_exceptions=True
            )
            assert [getattr(one, "type", None) for one in told] == ["unavailable"] * 3

    asyncio.run(act())
    client.client_unpause()
    ids = kept_ids(client)
    assert len(ids) == len(set(ids)) <= 4


def test_a_client_that_goes_away_holds_up_nobody(url: str, client: redis.Redis) -> None:
    async def act(publisher: Publisher) -> None:
        calls = [asyncio.create_task(publisher.publish(request(event(f"e{place}")))) for place in range(3)]
        await asyncio.sleep(0)
        calls[1].cancel()
        assert (await calls[2]).result.kept == 1
        await publisher.drain()

    publishing(url, act)
    eventually(lambda: len(kept_ids(client)) == 3)
