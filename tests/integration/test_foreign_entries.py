"""Entries that another hand has put on Weir's streams: kept where an operator finds them, and not counted as ours."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import redis

from stream_processor.entries import Failure, StreamEntry
from stream_processor.failed_event_sink import FailedEventSink
from tests.accepted_events import append
from tests.failing_events import POISON
from tests.pipeline import KEYS, Pipeline, block, event, execute, processing, put, rows, stored_ids, totals, value
from tests.waiting import eventually

YEAR_10000_US = 253_402_300_800_000_000
CLAIMS: dict[str, Any] = {
    "none": None, "negative": -5, "huge": 10**18, "just too large": 999_999_999, "a fraction": "1.5", "hex": "0x10",
    "not a number": "nan", "infinite": "inf", "blank": "", "spaced": " 7", "of other digits": "\u0667",
}  # fmt: skip
BLOBS = [
    b"", b"\x00", b"\xc1" * 50, b"\x91" * 100_000, msgspec.msgpack.encode({"a": 1}), msgspec.msgpack.encode([[1] * 40]),
    msgspec.msgpack.encode([["", None, None, None, None, b"", "", None, "", 0, 0, False, {}, "", "", 0, "more"]])[:-6]
    + b"\x91" * 60_000,
]  # fmt: skip


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url) as made:
        yield made


def test_what_foreign_entries_claim_to_hold_changes_no_total(redis_url: str, database_url: str, client: Any) -> None:
    put(client, block(event("a"), event("b")))
    for keys in KEYS.streams:
        for claim in CLAIMS.values():
            client.xadd(keys.stream, {"e": b"\x00"} if claim is None else {"n": claim, "e": b"\x00"})
    last_ms = int(client.hget(KEYS.events.totals, "last_ms"))
    client.xadd(KEYS.events.stream, {"n": 10**9 - 1, "e": b"\x00"}, id=f"{last_ms + 10_000}-{10**9}")  # as ours are
    with processing(redis_url, database_url):
        eventually(lambda: not any(client.xlen(keys.stream) for keys in KEYS.streams))
        put(client, block(event("c")))
        eventually(lambda: totals(client)["added"] == 3 == totals(client)["settled"])
    for keys in KEYS.streams:
        assert totals(client, keys)["added"] == totals(client, keys)["settled"]
    assert stored_ids(database_url) == ["a", "b", "c"]
    assert value(database_url, "SELECT count(*) FROM failed_events") == 3 * len(CLAIMS) + 1


def test_hostile_entries_hold_up_none_of_the_streams(redis_url: str, database_url: str, client: Any) -> None:
    for keys in KEYS.streams:
        for blob in BLOBS:
            client.xadd(keys.stream, {"n": 1, "e": blob})
        client.xadd(keys.stream, {"e": "x", "n": "1", "f": "y", "": ""})
        client.xadd(keys.stream, {b"\xff\x00": b"\xff"})
    put(client, block(event("good"), event("bad", POISON)))
    with processing(redis_url, database_url) as processor:
        eventually(lambda: not any(client.xlen(keys.stream) for keys in KEYS.streams))
        assert processor.metric("weir_processor_standing", stream="dead", state="halted") == 0
    assert stored_ids(database_url) == ["good"]
    assert rows(database_url, "SELECT reason FROM failed_events WHERE event_id = 'bad'") == [("invalid_data",)]


def test_a_failed_event_that_postgresql_refuses_in_spite_of_all_is_kept_as_bytes_and_holds_up_no_other(
    redis_url: str, database_url: str, client: Any
) -> None:
    execute(database_url, "ALTER TABLE failed_events ADD CHECK (event_type IS NULL OR event_type <> 'odd')")
    failures = [
        Failure("acme", name, kind, None, None, b"{}", "invalid_data", None, "", 1, 0)
        for name, kind in (("a", "usual"), ("b", "odd"), ("c", "usual"))
    ]
    dead = Pipeline(redis_url, database_url, keys=KEYS.dead, sink=FailedEventSink())
    append(client, KEYS.dead, 3, msgspec.msgpack.encode(failures))
    dead.pass_on()
    dead.close()
    found = rows(database_url, "SELECT event_id, reason, payload FROM failed_events ORDER BY event_id")
    assert [row[:2] for row in found] == [("a", "invalid_data"), ("c", "invalid_data"), (None, "unreadable_entry")]
    assert msgspec.msgpack.decode(found[2][2], type=Failure).event_id == "b"


def test_failed_events_take_anything(redis_url: str, database_url: str) -> None:
    worst = (
        "cl\0ient" * 1000, "i\0d" * 2000, "ty\0pe" * 2000, 2**63, -(2**62), bytes(range(256)), "r\0", "s\0",
        "d\0" * 9999, 2**40, 2**62,
    )  # fmt: skip
    mine = ("acme", "bad", None, YEAR_10000_US, None, b"", "invalid_data", None, "", 1, 0)
    blob = msgspec.msgpack.encode([worst, mine, mine])
    dead = Pipeline(redis_url, database_url, keys=KEYS.dead, sink=FailedEventSink())
    dead.store([StreamEntry("1-1", 3, blob)])
    dead.close()
    assert rows(database_url, "SELECT event_id, attempts, payload FROM failed_events ORDER BY event_id") == [
        ("bad", 2, b""),
        (None, 2**31 - 1, bytes(range(256))),
    ]
