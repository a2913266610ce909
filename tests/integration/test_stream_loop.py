"""The two halves of a loop: what is in hand, what is claimed, how much is held, and how it ends."""

import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
import redis

from deploy.connections import sync_redis
from shared.redis_keys import GROUP
from stream_processor.entries import Prepared, StreamEntry
from stream_processor.event_sink import EventSink
from stream_processor.metrics import ProcessorMetrics
from stream_processor.stream_loop import StreamLoop
from stream_processor.stream_reader import StreamReader
from stream_processor.trial_gate import TrialGate
from tests.fault_proxy import FaultProxy, Strike
from tests.pipeline import (
    KEYS,
    Pipeline,
    block,
    connect,
    event,
    intake,
    pending,
    processing,
    processor_config,
    put,
    rows,
    stored_ids,
    totals,
    wait_until_drained,
)
from tests.waiting import eventually

STREAM = KEYS.events.stream
PAYLOAD = b'"' + b"x" * 2_000_000 + b'"'


@pytest.fixture
def client(redis_url: str) -> Any:
    return redis.Redis.from_url(redis_url)


def deliver_to(client: Any, name: str) -> None:
    """Everything that is on the stream, to a consumer that will do nothing with it."""
    reader = StreamReader(client, KEYS.events, name)
    reader.create_group()
    while reader.read_new(10**6, 10**9):
        pass


def test_what_was_delivered_before_a_reconnection_is_stored_after_it(
    redis_url: str, database_url: str, client: Any
) -> None:
    put(client, block(event("a")))
    deliver_to(client, "p1")  # the reply was lost: the consumer never heard of it
    with processing(redis_url, database_url):
        wait_until_drained(client)
    assert stored_ids(database_url) == ["a"]


def test_replies_that_are_lost_lose_no_entry(redis_url: str, database_url: str, client: Any) -> None:
    with FaultProxy(redis_url) as proxy, processing(proxy.url, database_url) as processor:
        for n in range(20):
            put(client, block(event(f"e{n:02}")))
            if n % 5 == 2:
                proxy.cut()
        wait_until_drained(client)
        assert processor.running
    assert stored_ids(database_url) == [f"e{n:02}" for n in range(20)]
    assert intake(database_url) == {"stored": 20, "duplicates": 0, "conflicting": 0, "failed": 0}


def test_all_that_the_dead_left_is_claimed_though_it_is_many_pages(
    redis_url: str, database_url: str, client: Any
) -> None:
    for n in range(350):
        put(client, block(event(f"e{n}")))
    deliver_to(client, "dead")
    with processing(redis_url, database_url, consumer="heir", claim_idle_seconds=0.3) as processor:
        wait_until_drained(client)
        assert processor.metric("weir_processor_entries_claimed_total", stream="events") == 350
    assert len(stored_ids(database_url)) == 350


def test_work_in_hand_is_kept_while_postgresql_is_away(redis_url: str, database_url: str, client: Any) -> None:
    idle_seconds = 2.0
    with FaultProxy(database_url) as proxy:
        proxy.refuse()
        with processing(redis_url, proxy.url, claim_idle_seconds=idle_seconds) as waiting:
            put(client, block(event("a")))
            eventually(lambda: pending(client) == 1)
            with processing(redis_url, database_url, consumer="other", claim_idle_seconds=idle_seconds) as other:
                wait_until_kept(client, times=5)  # a third of the idle time apart: longer than it in all
                assert other.metric("weir_processor_entries_claimed_total", stream="events") == 0
                proxy.resume()
                wait_until_drained(client)
            assert waiting.metric("weir_processor_events_settled_total", stream="events") == 1
    assert stored_ids(database_url) == ["a"]


def wait_until_kept(client: Any, times: int) -> None:
    """Until the idle time of the one pending entry has been reset so often."""
    seen_ms = [0]

    def resets() -> int:
        (entry,) = client.xpending_range(STREAM, GROUP, "-", "+", 1)
        seen_ms.append(entry["time_since_delivered"])
        return sum(later < earlier for earlier, later in pairwise(seen_ms))

    eventually(lambda: resets() >= times)


class Weighing(EventSink):
    """Tells how much is held at once: what was prepared and not written yet."""

    def __init__(self, sink: EventSink) -> None:
        super().__init__(sink._enrichers, sink._partitions)
        self.batches: list[tuple[int, int]] = []

    def prepare(self, entries: Sequence[StreamEntry]) -> Prepared:
        self.batches.append((sum(one.events for one in entries), sum(len(one.blob or b"") for one in entries)))
        return super().prepare(entries)


def loop_of(pipeline: Any, redis_url: str, database_url: str, **changes: Any) -> tuple[StreamLoop, threading.Event]:
    stop = threading.Event()
    pipeline.metrics = ProcessorMetrics()
    loop = StreamLoop(
        processor_config(**changes), pipeline.source, lambda: sync_redis(redis_url, 4), lambda: connect(database_url),
        pipeline.partitions.forget, pipeline.metrics, stop, TrialGate(),
    )  # fmt: skip
    return loop, stop


@pytest.fixture
def pipeline(redis_url: str, database_url: str) -> Any:
    made = Pipeline(redis_url, database_url)
    made.sink = Weighing(made.sink)  # type: ignore[arg-type]
    made.source = made.source.__class__(made.source.keys, made.source.dead, made.source.parked, made.sink)
    yield made
    made.close()


def ended(loop: StreamLoop, stop: threading.Event) -> bool:
    stop.set()
    return loop.join(time.monotonic() + 10)


@pytest.mark.parametrize("pending_of", [None, "p1", "dead"], ids=["new", "own pending", "of the dead"])
def test_a_batch_stays_within_its_bytes_when_sizes_jump(
    redis_url: str, database_url: str, pipeline: Any, pending_of: str | None
) -> None:
    for n in range(30):
        put(pipeline.redis, block(event(f"small{n}")))
    for n in range(8):
        put(pipeline.redis, block(event(f"large{n}", PAYLOAD)))
    if pending_of:
        deliver_to(pipeline.redis, pending_of)
    loop, stop = loop_of(pipeline, redis_url, database_url, batch_bytes=3_000_000, claim_idle_seconds=0.3)
    loop.start()
    wait_until_drained(pipeline.redis)
    assert ended(loop, stop)
    assert max(size for _, size in pipeline.sink.batches) < 3_000_000 + 2_100_000
    assert sum(events for events, _ in pipeline.sink.batches) == 38


def test_a_batch_stays_within_its_events(redis_url: str, database_url: str, pipeline: Any) -> None:
    for n in range(100):
        put(pipeline.redis, block(*(event(f"{n}-{k}") for k in range(10))))
    loop, stop = loop_of(pipeline, redis_url, database_url, batch_events=95)
    loop.start()
    wait_until_drained(pipeline.redis)
    assert ended(loop, stop)
    assert max(events for events, _ in pipeline.sink.batches) == 100
    assert len(stored_ids(database_url)) == 1000


def test_little_is_read_ahead_while_postgresql_is_away(redis_url: str, database_url: str, pipeline: Any) -> None:
    for n in range(50):
        put(pipeline.redis, block(event(f"e{n}")))
    with FaultProxy(database_url) as proxy:
        proxy.refuse()
        loop, stop = loop_of(pipeline, redis_url, proxy.url, batch_events=5)
        loop.start()
        eventually(lambda: pending(pipeline.redis) == 15)  # written, waiting, and in the reader's hand
        assert ended(loop, stop)
    assert pending(pipeline.redis) == 15


def test_entries_that_could_not_be_settled_are_settled_when_redis_is_back(
    redis_url: str, database_url: str, client: Any
) -> None:
    with FaultProxy(redis_url) as proxy, processing(proxy.url, database_url) as processor:
        put(client, block(event("warm")))
        wait_until_drained(client)
        proxy.strike(b"weir_settle", Strike.LOSE_ANSWER)
        put(client, block(event("a"), event("bad", b"{")))
        wait_until_drained(client)
        proxy.strike(b"weir_park", Strike.LOSE_ANSWER)
        put(client, block(event("b"), event("bad2", b"{")))
        wait_until_drained(client)
        assert processor.running
    assert stored_ids(database_url) == ["a", "b", "warm"]
    assert rows(database_url, "SELECT event_id, attempts FROM failed_events ORDER BY 1") == [("bad", 1), ("bad2", 1)]
    assert intake(database_url) == {"stored": 3, "duplicates": 0, "conflicting": 0, "failed": 2}


def test_when_redis_loses_its_data_nothing_later_is_lost(redis_url: str, database_url: str, client: Any) -> None:
    with processing(redis_url, database_url) as processor:
        put(client, block(event("before")))
        wait_until_drained(client)
        client.flushall()
        put(client, block(event("after")))
        wait_until_drained(client)
        client.flushall()
        client.function_flush()
        put(client, block(event("later")))
        wait_until_drained(client)
        assert processor.running
    assert stored_ids(database_url) == ["after", "before", "later"]


def test_a_full_redis_is_emptied_by_the_processor(redis_url: str, database_url: str, client: Any) -> None:
    with processing(redis_url, database_url):  # its functions are loaded: a full Redis takes no new ones
        put(client, block(event("a"), event("bad", b"{")))
        wait_until_drained(client)
    for n in range(50):
        put(client, block(event(f"e{n}"), event(f"bad{n}", b"{")))
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(redis.OutOfMemoryError):
            put(client, block(event("refused")))
        with processing(redis_url, database_url):
            wait_until_drained(client)
    finally:
        client.config_set("maxmemory", 0)
    assert len(stored_ids(database_url)) == 51
    assert rows(database_url, "SELECT count(*) FROM failed_events") == [(51,)]


def test_a_processor_that_stops_leaves_no_consumer_behind(redis_url: str, database_url: str, client: Any) -> None:
    with processing(redis_url, database_url):
        put(client, block(event("a")))
        wait_until_drained(client)
    assert [client.xinfo_consumers(keys.stream, GROUP) for keys in KEYS.streams] == [[], [], []]


def test_a_stop_stores_what_is_in_hand(redis_url: str, database_url: str, client: Any) -> None:
    with FaultProxy(database_url) as proxy, processing(redis_url, proxy.url, batch_events=10) as processor:
        put(client, block(event("first")))
        wait_until_drained(client)
        proxy.pause()
        for n in range(100):
            put(client, block(event(f"e{n:03}")))
        eventually(lambda: pending(client) >= 3)  # written, waiting, and in the reader's hand
        processor.processor.stop()
        proxy.resume()
    assert pending(client) == 0
    assert 4 <= totals(client)["settled"] == len(stored_ids(database_url)) <= 31
