"""Entries that another hand takes are a loss that is told of and counted; consumers that are gone are removed."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from shared.redis_keys import GROUP
from shared.stream_status import read_stream_status
from stream_processor.losses import Losses
from stream_processor.stream_reader import StreamReader
from tests.pipeline import KEYS, block, event, pending, processing, put, stored_ids, totals, wait_until_drained
from tests.processor_process import ProcessorProcess
from tests.servers import EmbeddedUnderTest
from tests.waiting import eventually

STREAM = KEYS.events.stream


@pytest.fixture
def client(any_redis: EmbeddedUnderTest) -> Iterator[Any]:
    with redis.Redis.from_url(any_redis.url) as made:
        yield made


def reader(client: Any, name: str) -> StreamReader:
    made = StreamReader(client, KEYS.events, name)
    made.create_group()
    return made


def names(client: Any) -> list[str]:
    return sorted(consumer["name"].decode() for consumer in client.xinfo_consumers(STREAM, GROUP))


def test_pending_ids_without_an_entry_are_told_of_once(client: Any) -> None:
    kept, gone = put(client, block(event("a"))), put(client, block(event("b"), event("c")))
    reader(client, "p1").read_new(10, 10**6)
    client.xdel(STREAM, gone)
    losses = Losses(client, KEYS.events, "p1")
    assert losses.take_lost([kept, gone]) == [gone]
    assert losses.take_lost([kept, gone]) == []
    assert pending(client) == 1
    assert losses.take_lost([]) == []


def test_totals_are_mended_when_nothing_is_left_that_could_be_settled(client: Any) -> None:
    put(client, block(event("a"), event("b")))
    put(client, block(event("c")))
    losses = Losses(client, KEYS.events, "p1")
    assert losses.write_off() == 0
    (read,) = reader(client, "p1").wait_for_new(10)
    client.xtrim(STREAM, maxlen=0, approximate=False)
    assert losses.write_off() == 0  # one is pending still: its processor may have it in hand
    assert losses.take_lost([read.entry_id]) == [read.entry_id]
    assert losses.write_off() == 3
    assert totals(client) == {"added": 3, "settled": 3}
    assert losses.write_off() == 0
    put(client, block(event("d")))
    assert [status.length for status in read_stream_status(client, 1) if status.name == "events"] == [1]


def test_a_stream_that_is_not_there_has_lost_nothing(client: Any) -> None:
    assert Losses(client, KEYS.events, "p1").write_off() == 0


def test_only_consumers_that_are_idle_and_have_nothing_pending_are_removed(client: Any) -> None:
    put(client, block(event("a")))
    reader(client, "holds").wait_for_new(10)
    reader(client, "empty").wait_for_new(10)
    losses = Losses(client, KEYS.events, "p1")
    assert losses.remove_gone() == []
    assert names(client) == ["empty", "holds"] or names(client) == ["holds"]  # Redis 7.0 makes none for an empty read
    losses.remove_gone(0)
    assert names(client) == ["holds"]
    assert pending(client) == 1


def test_a_processor_tells_of_what_was_trimmed_and_goes_on(redis_url: str, database_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        put(client, block(event("a"), event("b")))
        put(client, block(event("c")))
        (first,) = reader(client, "dead").wait_for_new(10)
        client.xtrim(STREAM, maxlen=0, approximate=False)
        with processing(redis_url, database_url, claim_idle_seconds=0.3) as processor:
            eventually(lambda: processor.metric("weir_processor_events_lost_total", stream="events") == 3)
            put(client, block(event("d")))
            wait_until_drained(client)
        assert stored_ids(database_url) == ["d"]
        assert first.events == 2


def test_the_log_names_the_ids_that_were_lost(redis_url: str, database_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        lost = put(client, block(event("a")))
        reader(client, "dead").wait_for_new(10)
        client.xdel(STREAM, lost)
        settings = {"WEIR_CLAIM_IDLE_SECONDS": 0.3, "WEIR_LOG_FORMAT": "json"}
        with ProcessorProcess(redis_url, database_url, **settings) as processor:
            eventually(lambda: '"action":"events.lost"' in processor.log)
            (line,) = (line for line in processor.log.splitlines() if '"action":"entries.lost"' in line)
            assert lost in line
            assert '"level":"error"' in line
