"""Bad events among good ones: the good are stored in the same pass, the bad end in failed_events with the reason."""

from collections.abc import Iterator
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg import Connection

from shared.errors import HaltError
from shared.stream_entry import Block, EventFrame
from stream_processor.enrich import Enricher
from stream_processor.failed_event_sink import FailedEventSink
from stream_processor.failure_decision import Decision, decide
from tests.pipeline import (
    KEYS,
    Pipeline,
    assert_rollups_equal_recounts,
    block,
    connect,
    entry,
    event,
    execute,
    intake,
    pending,
    processing,
    put,
    rows,
    stored_ids,
    totals,
    value,
    wait_until_drained,
)
from tests.waiting import eventually

YEAR_10000_US = 253_402_300_800_000_000

BAD_EVENTS = {
    "a NUL that jsonb refuses": (event("bad", b'{"a": "\\u0000"}'), "22P05"),
    "a lone surrogate": (event("bad", b'{"a": "\\ud800"}'), "22P02"),
    "not JSON": (event("bad", b'{"a": '), "22P02"),
    "not UTF-8": (event("bad", b'{"a": "\xff"}'), "22021"),
    "no payload at all": (event("bad", b""), "22P02"),
    "NUL in the id": (event("b\0d"), "22021"),
    "NUL in the type": (event("bad", event_type="b\0d"), "22021"),
    "an id too long for an index": (event("".join(chr(0x4E00 + n % 20_000) for n in range(5000))), "54000"),
    "the year 10000": (event("bad", occurred_us=YEAR_10000_US), None),
    "before the year 1": (event("bad", occurred_us=-(10**17)), None),
    "beyond PostgreSQL's time": (event("bad", occurred_us=2**62), None),
    "beyond 64 bits": (event("bad", occurred_us=2**63 + 5), None),
    "a checksum of 40 bits": (EventFrame("bad", "t", None, b"{}", 2**40), None),
}


@pytest.fixture
def pipeline(redis_url: str, database_url: str) -> Iterator[Pipeline]:
    made = Pipeline(redis_url, database_url)
    yield made
    made.close()


def bury(redis_url: str, database_url: str) -> None:
    """What the dead stream's loop does."""
    dead = Pipeline(redis_url, database_url, keys=KEYS.dead, sink=FailedEventSink())
    dead.pass_on()
    dead.close()


def good(*names: str) -> list[EventFrame]:
    return [event(name) for name in names]


@pytest.mark.parametrize(("bad", "sqlstate"), BAD_EVENTS.values(), ids=list(BAD_EVENTS))
def test_one_bad_event_takes_none_of_its_batch_with_it(
    redis_url: str, database_url: str, bad: EventFrame, sqlstate: str | None, pipeline: Pipeline
) -> None:
    put(pipeline.redis, block(*good("a", "b"), bad, *good("c")), block(*good("d"), client_id="other"))
    put(pipeline.redis, block(*good("e")))
    pipeline.pass_on()
    bury(redis_url, database_url)
    assert stored_ids(database_url) == ["a", "b", "c", "d", "e"]
    assert intake(database_url) == {"stored": 5, "duplicates": 0, "conflicting": 0, "failed": 1}
    assert totals(pipeline.redis) == {"added": 6, "settled": 6}
    (failed,) = rows(
        database_url, "SELECT client_id, payload, reason, sqlstate, detail <> '', attempts, replays FROM failed_events"
    )
    assert failed == ("acme", bad.payload, "invalid_data", sqlstate, True, 1, 0)
    assert_rollups_equal_recounts(database_url)


def test_the_good_and_the_bad_are_committed_together(pipeline: Pipeline, database_url: str) -> None:
    stored = pipeline.store(
        [entry("1-3", block(*good("a"), event("bad", b"{"), *good("b"))), entry("1-4", block(*good("c")))]
    )
    assert [one.entry_id for one in stored.settled] == ["1-4"]
    assert [(one.entry_id, [failure.event_id for failure in failures]) for one, failures in stored.parked] == [
        ("1-3", ["bad"])
    ]
    assert stored_ids(database_url) == ["a", "b", "c"]
    assert value(database_url, "SELECT count(DISTINCT xmin::text) FROM stored_entries") == 1


def test_all_bad_events_of_all_entries_are_found(pipeline: Pipeline, database_url: str) -> None:
    blocks = [block(*(event(f"{n}-{k}", b"{" if (n + k) % 7 == 0 else b"{}") for k in range(20))) for n in range(10)]
    for one in blocks:
        put(pipeline.redis, one)
    stored = pipeline.store(pipeline.read())
    bad = {f"{n}-{k}" for n in range(10) for k in range(20) if (n + k) % 7 == 0}
    assert {failure.event_id for _, failures in stored.parked for failure in failures} == bad
    assert len(stored_ids(database_url)) == 200 - len(bad)
    assert intake(database_url) == {"stored": 200 - len(bad), "duplicates": 0, "conflicting": 0, "failed": len(bad)}
    assert_rollups_equal_recounts(database_url)


def test_a_bad_event_does_not_use_up_its_id(pipeline: Pipeline, database_url: str) -> None:
    stored = pipeline.store([entry("1-3", block(event("a", b"{"), event("a", b'{"n": 2}'), event("a", b'{"n": 3}')))])
    assert [failure.payload for _, (failure,) in stored.parked] == [b"{"]
    assert rows(database_url, "SELECT payload FROM events") == [({"n": 2},)]
    assert intake(database_url) == {"stored": 1, "duplicates": 1, "conflicting": 1, "failed": 1}


def test_repeats_around_a_bad_event_are_counted_once(pipeline: Pipeline, database_url: str) -> None:
    pipeline.store([entry("1-1", block(*good("old")))])
    pipeline.store([entry("1-9", block(*good("old", "a", "a"), event("bad", b"{"), *good("a", "b", "old", "b", "c")))])
    assert stored_ids(database_url) == ["a", "b", "c", "old"]
    assert intake(database_url) == {"stored": 4, "duplicates": 5, "conflicting": 0, "failed": 1}
    assert_rollups_equal_recounts(database_url)


class Counting:
    """Counts the statements and savepoints of a connection by asking the server for its own count of them."""

    def __init__(self, connection: Connection[Any]) -> None:
        self.statements: list[str] = []
        execute = connection.execute

        def counted(query: Any, *arguments: Any, **options: Any) -> Any:
            self.statements.append(str(query))
            return execute(query, *arguments, **options)

        connection.execute = counted  # type: ignore[method-assign]


def test_finding_one_bad_event_of_a_thousand_costs_few_statements(pipeline: Pipeline, database_url: str) -> None:
    events = [event(f"e{n}", b"{" if n == 617 else b"{}") for n in range(1000)]
    counting = Counting(pipeline.connection)
    pipeline.store([entry("1-1000", block(*events))])
    inserts = sum("INSERT INTO event_ids" in statement for statement in counting.statements)
    assert inserts <= 1 + 2 * 10 + 1  # the batch once whole, then two halves a level, ten levels deep
    assert len(stored_ids(database_url)) == 999


def test_a_redelivered_entry_still_gives_up_what_failed_when_it_was_stored(
    redis_url: str, database_url: str, pipeline: Pipeline
) -> None:
    put(pipeline.redis, block(*good("a"), event("bad", b"{")))
    pipeline.store(pipeline.read())  # and dies before it tells Redis
    assert pending(pipeline.redis) == 1
    with processing(redis_url, database_url, consumer="heir", claim_idle_seconds=0.2):
        wait_until_drained(pipeline.redis)
    assert stored_ids(database_url) == ["a"]
    assert rows(database_url, "SELECT event_id, attempts, payload FROM failed_events") == [("bad", 1, b"{")]
    assert intake(database_url) == {"stored": 1, "duplicates": 0, "conflicting": 0, "failed": 1}


def test_parking_twice_fails_an_event_once(redis_url: str, database_url: str, pipeline: Pipeline) -> None:
    put(pipeline.redis, block(event("bad", b"{")))
    stored = pipeline.store(pipeline.read())
    pipeline.settle(stored)
    pipeline.settle(stored)
    assert totals(pipeline.redis, KEYS.dead) == {"added": 1, "settled": 0}
    assert totals(pipeline.redis) == {"added": 1, "settled": 1}
    bury(redis_url, database_url)
    assert rows(database_url, "SELECT attempts FROM failed_events") == [(1,)]


def test_an_event_that_fails_again_is_counted_up(redis_url: str, database_url: str, pipeline: Pipeline) -> None:
    for payload in (b"{", b"["):
        put(pipeline.redis, block(event("bad", payload)))
        pipeline.pass_on()
        bury(redis_url, database_url)
    assert rows(
        database_url, "SELECT event_id, attempts, payload, first_failed_at < last_failed_at FROM failed_events"
    ) == [("bad", 2, b"[", True)]


def test_unreadable_entries_of_any_stream_are_kept_as_they_were_found(
    redis_url: str, database_url: str, pipeline: Pipeline
) -> None:
    blobs = [b"\x00garbage", b"\x91\x99\x01\xa1\xff", b"\x91" * 100_000, b""]
    for keys in KEYS.streams:
        for blob in blobs:
            pipeline.redis.xadd(keys.stream, {"n": 1, "e": blob})
        pipeline.redis.xadd(keys.stream, {"colour": "red"})
    put(pipeline.redis, block(*good("a")))
    with processing(redis_url, database_url) as processor:
        wait_for_failed(database_url, 15)
        eventually(lambda: not any(pipeline.redis.xlen(keys.stream) for keys in KEYS.streams))
        assert processor.running
    found = rows(database_url, "SELECT client_id, event_id, reason, payload FROM failed_events")
    assert sorted(found) == sorted(("", None, "unreadable_entry", blob) for blob in [*blobs, b""] * 3)
    assert stored_ids(database_url) == ["a"]


def test_an_unreadable_entry_may_have_any_id(redis_url: str, database_url: str, pipeline: Pipeline) -> None:
    pipeline.redis.xadd(KEYS.events.stream, {"a": "b"}, id=f"{2**64 - 2}-1")
    pipeline.pass_on()
    bury(redis_url, database_url)
    assert rows(database_url, "SELECT reason, received_at FROM failed_events") == [("unreadable_entry", None)]


def test_a_block_of_a_later_version_is_not_guessed_at_but_left_pending(pipeline: Pipeline, database_url: str) -> None:
    put(pipeline.redis, msgspec.structs.replace(block(*good("a")), version=2))
    with pytest.raises(HaltError, match="upgrade the processors"):
        pipeline.pass_on()
    assert pipeline.redis.xpending(KEYS.events.stream, "weir")["pending"] == 1
    assert value(database_url, "SELECT count(*) FROM stored_entries") == 0


def raising(_: Block, frame: EventFrame) -> dict[str, Any]:
    if frame.event_id == "bad":
        raise ZeroDivisionError("of its own")
    return {"region": frame.event_type.upper()}


def strange(_: Block, frame: EventFrame) -> dict[str, Any]:
    return {"region": "ORDER.CREATED", **({"set": {1, 2}} if frame.event_id == "bad" else {})}


def none_at_all(_: Block, frame: EventFrame) -> dict[str, Any]:
    return None if frame.event_id == "bad" else {"region": "ORDER.CREATED"}  # type: ignore[return-value]


@pytest.mark.parametrize("enricher", [raising, strange, none_at_all])
def test_an_enricher_adds_to_the_context_and_fails_alone(
    redis_url: str, database_url: str, pipeline: Pipeline, enricher: Enricher
) -> None:
    put(pipeline.redis, block(*good("a", "bad", "b")))
    enriching = Pipeline(redis_url, database_url, enrichers=[enricher])
    enriching.pass_on()
    enriching.close()
    bury(redis_url, database_url)
    assert rows(
        database_url, "SELECT event_id, context ->> 'region', context ->> 'gateway' FROM events ORDER BY 1"
    ) == [
        ("a", "ORDER.CREATED", "gw"),
        ("b", "ORDER.CREATED", "gw"),
    ]
    ((reason, detail),) = rows(database_url, "SELECT reason, detail FROM failed_events")
    assert reason == "enricher_failed"
    assert "of its own" not in detail


def test_an_enrichers_words_that_jsonb_refuses_fail_the_event(redis_url: str, database_url: str) -> None:
    enriching = Pipeline(
        redis_url, database_url, enrichers=[lambda _, frame: {"a": "\0" if frame.event_id == "bad" else "b"}]
    )
    stored = enriching.store([entry("1-2", block(*good("a", "bad")))])
    enriching.close()
    assert [failure.sqlstate for _, (failure,) in stored.parked] == ["22P05"]
    assert stored_ids(database_url) == ["a"]


def test_a_check_is_told_from_a_missing_partition(database_url: str, pipeline: Pipeline) -> None:
    pipeline.store([entry("1-1", block(*good("a")))])
    execute(database_url, "ALTER TABLE events ADD CONSTRAINT short CHECK (length(event_type) < 20)")
    refused = "INSERT INTO events VALUES ('c', 'e', %s, %s, now(), now(), '{}', '{}')"
    for event_type, occurred_at, decision in (
        ("x" * 20, "now", Decision.ISOLATE),
        ("x", "1999-01-01", Decision.MAKE_PARTITION),
    ):
        with pytest.raises(psycopg.errors.CheckViolation) as caught, connect(database_url) as connection:
            connection.execute(refused, (event_type, occurred_at))
        assert decide(caught.value) is decision
    stored = pipeline.store([entry("1-3", block(*good("b"), event("bad", event_type="x" * 20)))])
    assert [failure.sqlstate for _, (failure,) in stored.parked] == ["23514"]
    assert stored_ids(database_url) == ["a", "b"]


def wait_for_failed(database_url: str, count: int) -> None:
    eventually(
        lambda: value(database_url, "SELECT count(*) FROM failed_events") == count, what=f"{count} failed events"
    )
