"""`Prefer: wait`: 200 says that every event of the request is committed, whatever happens meanwhile; else it is 202."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from deploy.connections import async_redis
from ingest_gateway.publisher import Published, PublishRequest
from ingest_gateway.storage_wait import StorageWait
from tests.pipeline import KEYS, Pipeline
from tests.publishing import event, publish, publish_together, request
from tests.servers import EmbeddedUnderTest


@pytest.fixture
def pipeline(any_redis: EmbeddedUnderTest, database_url: str) -> Iterator[Pipeline]:
    pipeline = Pipeline(any_redis.url, database_url)
    yield pipeline
    pipeline.close()


@pytest.fixture
def url(any_redis: EmbeddedUnderTest) -> str:
    return any_redis.url


@dataclass
class Waited:
    stored: bool
    seconds: float


def wait(
    url: str, sent: PublishRequest, told: Published, seconds: float = 5, *, meanwhile: Callable[[], Any] = lambda: None
) -> Waited:
    """Wait for a request; `meanwhile` runs in another thread once the waiting has begun."""

    async def run() -> Waited:
        async with async_redis(url, 2) as client:
            began = time.monotonic()
            waiting = asyncio.create_task(StorageWait(client).until_stored(told, sent.ids, 0, seconds))
            await asyncio.sleep(0.05)
            assert waiting.done() == (told.result.kept == 0 and not told.result.duplicates) or seconds < 0.1
            await asyncio.to_thread(meanwhile)
            return Waited(await waiting, time.monotonic() - began)

    return asyncio.run(run())


def settled_later(url: str, sent: PublishRequest, told: Published, redis_seconds: float = 2) -> bool:
    """What is answered when everything is over already."""

    async def run() -> bool:
        async with async_redis(url, redis_seconds) as client:
            return await StorageWait(client).until_stored(told, sent.ids, 0, 1)

    return asyncio.run(run())


def test_it_ends_when_all_events_are_committed_and_not_before(pipeline: Pipeline, url: str) -> None:
    sent = request(event("a"), event("b"))
    [told] = publish(url, sent)
    waited = wait(url, sent, told, meanwhile=pipeline.pass_on)
    assert waited.stored
    assert waited.seconds < 4


def test_a_processor_that_dies_ends_it_at_the_limit(pipeline: Pipeline, url: str) -> None:
    sent = request(event("a"))
    [told] = publish(url, sent)
    pipeline.read()
    waited = wait(url, sent, told, 0.4)
    assert not waited.stored
    assert 0.4 <= waited.seconds < 1


def test_an_event_that_failed_is_not_stored(pipeline: Pipeline, url: str) -> None:
    sent = request(event("good"), event("bad", b"no json"))
    [told] = publish(url, sent)
    assert not wait(url, sent, told, meanwhile=pipeline.pass_on).stored
    assert not settled_later(url, sent, told)


def test_the_failure_of_another_request_of_the_same_call_does_not_matter(pipeline: Pipeline, url: str) -> None:
    good, bad = request(event("good")), request(event("bad", b"no json"), client="bravo")
    told = publish_together(url, good, bad)
    assert wait(url, good, told[0], meanwhile=pipeline.pass_on).stored
    assert not settled_later(url, bad, told[1])


def test_repeats_that_are_in_flight_are_waited_for_too(pipeline: Pipeline, url: str) -> None:
    publish(url, request(event("a"), event("x")), request(event("b")))
    sent = request(event("a"), event("b"))
    [told] = publish(url, sent)
    assert told.result.kept == 0
    first, second = pipeline.read()
    pipeline.settle(pipeline.store([second]))
    assert not wait(url, sent, told, 0.2).stored
    assert wait(url, sent, told, meanwhile=lambda: pipeline.settle(pipeline.store([first]))).stored


def test_a_repeat_of_an_event_that_failed_is_not_stored(pipeline: Pipeline, url: str) -> None:
    sent = request(event("good"), event("bad", b"no json"), event("other"))
    publish(url, sent)
    pipeline.pass_on()
    again, good = request(event("bad", b"no json")), request(event("good"))
    told = publish(url, again, good)
    assert [one.result.kept for one in told] == [0, 0]
    assert not settled_later(url, again, told[0])
    assert settled_later(url, good, told[1])


def test_an_entry_nobody_can_read_is_not_stored(pipeline: Pipeline, url: str) -> None:
    sent = request(event("a"))
    [told] = publish(url, sent)
    (entry,) = pipeline.read()
    pipeline.settle(pipeline.store([type(entry)(entry.entry_id, 1, b"rubbish")]))
    assert not settled_later(url, sent, told)


def test_a_redis_that_lost_its_data_stored_nothing(pipeline: Pipeline, url: str) -> None:
    sent = request(event("a"))
    [told] = publish(url, sent)

    def lose() -> None:
        pipeline.redis.flushall()
        publish(url, *(request(event(f"n{number}")) for number in range(5)))

    assert not wait(url, sent, told, meanwhile=lose).stored


def test_entries_of_another_hand_do_not_confuse_it(pipeline: Pipeline, url: str) -> None:
    sent = request(event("a"))
    [told] = publish(url, sent)
    entries = pipeline.read()
    pipeline.redis.xadd(KEYS.events.stream, {"who": "knows"})
    assert wait(url, sent, told, meanwhile=lambda: pipeline.settle(pipeline.store(entries))).stored


def test_a_redis_that_does_not_answer_is_no_error(pipeline: Pipeline, url: str) -> None:
    sent = request(event("a"))
    [told] = publish(url, sent)
    pipeline.redis.client_pause(1500, all=True)
    try:
        assert not settled_later(url, sent, told, 0.2)
    finally:
        pipeline.redis.client_unpause()


def test_a_request_of_a_thousand_events_is_asked_for_at_once(pipeline: Pipeline, url: str) -> None:
    sent = request(*(event(f"e{number}") for number in range(1000)))
    [told] = publish(url, sent)
    assert wait(url, sent, told, meanwhile=pipeline.pass_on).stored
