"""An event that kills its processor is found, parked alone, and takes nothing with it; outages never look like one."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from shared.redis_keys import GROUP
from stream_processor.trial_marks import WHOLE, TrialMarks
from tests.fault_proxy import FaultProxy
from tests.pipeline import (
    KEYS,
    assert_rollups_equal_recounts,
    block,
    drained,
    event,
    intake,
    pending,
    processing,
    put,
    rows,
    stored_ids,
    totals,
    wait_until_drained,
)
from tests.processor_process import ProcessorProcess
from tests.waiting import eventually

IDLE_SECONDS = 0.3
MAX_ATTEMPTS = 2


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url) as made:
        yield made


def process_until(done: Callable[[], bool], redis_url: str, database_url: str, enricher: str, most: int) -> int:
    """Start a processor again whenever it dies; how many died."""
    settings = {
        "WEIR_CLAIM_IDLE_SECONDS": IDLE_SECONDS, "WEIR_MAX_ATTEMPTS": MAX_ATTEMPTS,
        "WEIR_ENRICHERS": f"tests.deadly_enrichers:{enricher}",
    }  # fmt: skip
    for deaths in range(most + 1):
        with ProcessorProcess(redis_url, database_url, **settings) as processor:
            eventually(lambda p=processor: p.exit_code is not None or done(), within_seconds=20)  # type: ignore[misc]
            if done():
                processor.terminate()
                assert processor.wait(10) == 0
                return deaths
    raise AssertionError(f"not done after {most} deaths")


@pytest.mark.parametrize("enricher", ["die", "be_killed"])
def test_the_event_that_kills_processors_is_parked_and_all_others_are_stored(
    redis_url: str, database_url: str, client: Any, enricher: str
) -> None:
    put(client, block(event("before1"), event("before2")))
    put(client, block(event("a"), event("b")), block(event("c"), event("deadly"), event("d"), client_id="zeta"))
    put(client, block(event("after"), event("a")))
    deaths = process_until(lambda: drained(client), redis_url, database_url, enricher, MAX_ATTEMPTS + 3)
    assert deaths == MAX_ATTEMPTS + 3  # in company, then with its entry alone, then twice alone
    assert stored_ids(database_url) == ["a", "after", "b", "before1", "before2", "c", "d"]
    failed = rows(database_url, "SELECT client_id, event_id, reason, payload FROM failed_events")
    assert failed == [("zeta", "deadly", "crashed_processor", b'{"a": 1}')]
    assert intake(database_url) == {"stored": 7, "duplicates": 1, "conflicting": 0, "failed": 1}
    assert totals(client) == {"added": 9, "settled": 9}
    assert_rollups_equal_recounts(database_url)


def test_two_deadly_events_of_one_entry_are_both_found(redis_url: str, database_url: str, client: Any) -> None:
    put(client, block(event("a"), event("deadly1"), event("deadly2"), event("z", b"{")))
    process_until(lambda: drained(client), redis_url, database_url, "die", MAX_ATTEMPTS + 5)
    assert stored_ids(database_url) == ["a"]
    failed = rows(database_url, "SELECT event_id, reason FROM failed_events ORDER BY 1")
    assert failed == [("deadly1", "crashed_processor"), ("deadly2", "crashed_processor"), ("z", "invalid_data")]


def deliver_often(client: Any, entry_id: str, times: int) -> None:
    """As outages do: the delivery count grows, and nobody died."""
    for consumer in (f"gone{n}" for n in range(times)):
        client.xclaim(KEYS.events.stream, GROUP, consumer, 0, [entry_id])


def test_outages_alone_never_park_an_event(redis_url: str, database_url: str, client: Any) -> None:
    entry_id = put(client, block(event("a"), event("b")))
    client.xgroup_create(KEYS.events.stream, GROUP, id="0")
    client.xreadgroup(GROUP, "gone", {KEYS.events.stream: ">"})
    deliver_often(client, entry_id, 30)
    with FaultProxy(database_url) as proxy:
        for n in range(4):
            proxy.refuse()
            with processing(redis_url, proxy.url, consumer=f"p{n}", claim_idle_seconds=IDLE_SECONDS) as waiting:
                eventually(lambda w=waiting: w.metric("weir_processor_outage", stream="events", server="postgresql"))  # type: ignore[misc]
        proxy.resume()
        with processing(redis_url, proxy.url, consumer="heir", claim_idle_seconds=IDLE_SECONDS):
            wait_until_drained(client)
    assert stored_ids(database_url) == ["a", "b"]
    assert rows(database_url, "SELECT * FROM failed_events") == []


def test_a_try_that_is_put_off_by_an_outage_leaves_no_mark(redis_url: str, database_url: str, client: Any) -> None:
    entry_id = put(client, block(event("a")))
    client.xgroup_create(KEYS.events.stream, GROUP, id="0")
    client.xreadgroup(GROUP, "gone", {KEYS.events.stream: ">"})
    deliver_often(client, entry_id, 10)
    with FaultProxy(database_url) as proxy:

        def cut_once(_: Any, frame: Any) -> dict[str, Any]:
            if not struck:
                struck.append(frame.event_id)
                proxy.refuse()
                proxy.cut()
            return {}

        struck: list[str] = []
        with processing(redis_url, proxy.url, [cut_once], claim_idle_seconds=IDLE_SECONDS) as processor:
            eventually(lambda: processor.metric("weir_processor_outage", stream="events", server="postgresql"))
            assert struck == ["a"]
            eventually(lambda: client.hgetall(KEYS.events.trial(entry_id)) == {})
            assert pending(client) == 1
            proxy.resume()
            wait_until_drained(client)
    assert stored_ids(database_url) == ["a"]


def test_a_mark_of_another_is_a_death_and_ones_own_is_not(client: Any) -> None:
    mine, dead = (TrialMarks(client, KEYS.events, name) for name in ("mine", "dead"))
    assert mine.begin("5-1") == {}
    mine.trying("5-1", WHOLE)
    assert mine.begin("5-1") == {}
    dead.trying("5-1", "3")
    mine.trying("5-1", "2")
    mine.end("5-1")
    assert mine.begin("5-1") == {"3": 1}
    dead.trying("5-1", "3")
    assert mine.begin("5-1") == {"3": 2}
    assert 0 < client.ttl(KEYS.events.trial("5-1")) <= 86_400


def test_an_entry_that_kills_while_it_is_decoded_is_parked_whole(
    redis_url: str, database_url: str, client: Any
) -> None:
    entry_id = put(client, block(event("a"), event("b")))
    for n, place in enumerate(["whole", "decoding", "decoding"]):
        marks = TrialMarks(client, KEYS.events, f"dead{n}")
        marks.begin(entry_id)
        marks.trying(entry_id, place)
    client.xgroup_create(KEYS.events.stream, GROUP, id="0")
    client.xreadgroup(GROUP, "gone", {KEYS.events.stream: ">"})
    deliver_often(client, entry_id, 10)
    (blob,) = (fields[b"e"] for _, fields in client.xrange(KEYS.events.stream))
    with processing(redis_url, database_url, claim_idle_seconds=IDLE_SECONDS):
        wait_until_drained(client)
    assert rows(database_url, "SELECT reason, payload FROM failed_events") == [("crashed_processor", blob)]
    assert stored_ids(database_url) == []
