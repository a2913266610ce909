"""`weir reconcile` agrees whenever nothing is lost or doubled, and names what differs."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any
from zlib import crc32

import psycopg
import pytest

from deploy.cli import run
from ingest_gateway.publisher import PublishRequest
from shared.accepted_counts import account_field
from shared.audit_record import encode_record_head
from shared.stream_entry import encode_events, encode_head
from stream_processor.accepted_counts import DROPPED_AFTER_SECONDS, AcceptedCounts
from stream_processor.failed_event_sink import FailedEventSink
from stream_processor.rollup_compaction import compact_rollups
from tests.no_settings import forget_settings
from tests.pipeline import KEYS, Pipeline, block, connect, event, now_us, processing, put, wait_until_drained
from tests.publishing import publish


def request_of(*event_ids: str, client: str = "acme", payload: bytes = b"{}", at_us: int = 0) -> PublishRequest:
    at_us = at_us or now_us()
    return PublishRequest(
        key_id="k",
        limit=0,
        audit_head=encode_record_head(at_us, "gateway", "gw", client, "k", "POST", "/b", "/b", "", 9, "::1", "t", "r"),
        status=202,
        ids=[f"{client}\0{one}" for one in event_ids],
        crcs=b"".join(crc32(payload).to_bytes(4, "big") for _ in event_ids),
        block_head=encode_head(client, at_us, "gw", "::1", "t", "r", "k"),
        block_events=encode_events([(one, "t", None, payload, crc32(payload)) for one in event_ids]),
        account=account_field(at_us, client),
    )


@pytest.fixture
def pipeline(redis_url: str, database_url: str) -> Iterator[Pipeline]:
    with psycopg.connect(database_url) as connection:  # counting began before this minute
        connection.execute("UPDATE schema_migrations SET applied_at = applied_at - interval '1 day'")
    pipeline = Pipeline(redis_url, database_url)
    yield pipeline
    pipeline.close()


@pytest.fixture
def reconcile(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    redis_url: str,
    database_url: str,
) -> Any:
    forget_settings(monkeypatch, tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)

    def ask(*arguments: str) -> Any:
        code = run(["reconcile", "--json", *arguments])
        printed = capsys.readouterr().out
        found = json.loads(printed[printed.index("{\n") : printed.rindex("\n}") + 2])  # logs may stand around it
        assert code == (0 if found["agrees"] else 1)
        return found

    return ask


def sums(found: Any) -> tuple[int, int, int, int, int]:
    balance = found["balance"]
    names = ("accepted", "stored", "duplicates", "failed", "in_flight")
    return tuple(balance[name] for name in names)  # type: ignore[return-value]


def kinds(found: Any) -> list[str]:
    return [one["kind"] for one in found["differences"]]


def execute(database_url: str, statement: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(statement.encode())


def test_nothing_agrees_with_nothing(pipeline: Pipeline, reconcile: Any) -> None:
    assert reconcile()["agrees"]


def test_it_agrees_at_every_step_of_an_event(pipeline: Pipeline, redis_url: str, reconcile: Any) -> None:
    publish(redis_url, request_of("a", "b"), request_of("c", client="bravo"))
    assert sums(reconcile()) == (3, 0, 0, 0, 3)
    entries = pipeline.read()
    assert sums(reconcile()) == (3, 0, 0, 0, 3)
    stored = pipeline.store(entries)
    found = reconcile()  # committed, not yet acknowledged
    assert found["agrees"]
    assert sums(found) == (3, 3, 0, 0, 0)
    pipeline.settle(stored)
    assert sums(reconcile()) == (3, 3, 0, 0, 0)
    assert sums(reconcile("--client-id", "bravo")) == (1, 1, 0, 0, 0)
    assert sums(reconcile("--to", "2026-01-01T00:00:00Z")) == (0, 0, 0, 0, 0)


def test_shards_beyond_the_setting_are_counted(pipeline: Pipeline, redis_url: str, reconcile: Any) -> None:
    publish(redis_url, request_of("a", "b"), shard=2)
    assert sums(reconcile()) == (2, 0, 0, 0, 2)


def test_repeats_and_failures_balance(pipeline: Pipeline, redis_url: str, reconcile: Any) -> None:
    publish(redis_url, request_of("a", "a", "b"))
    pipeline.redis.delete(KEYS.ids)
    publish(redis_url, request_of("a"), request_of("bad", payload=b"no json"))
    pipeline.pass_on()
    found = reconcile()
    assert found["agrees"]
    assert sums(found) == (4, 2, 1, 1, 0)
    assert found["failing"] == 1
    dead = Pipeline(redis_url, pipeline.database_url, keys=KEYS.dead, sink=FailedEventSink())
    dead.pass_on()
    dead.close()
    assert reconcile()["failing"] == 0


def test_a_replay_is_no_new_acceptance_and_balances(pipeline: Pipeline, redis_url: str, reconcile: Any) -> None:
    publish(redis_url, request_of("bad", payload=b"no json"))
    pipeline.pass_on()
    dead = Pipeline(redis_url, pipeline.database_url, keys=KEYS.dead, sink=FailedEventSink())
    dead.pass_on()
    dead.close()
    (received,) = psycopg.connect(pipeline.database_url).execute(
        "SELECT (extract(epoch FROM received_at) * 1000000)::bigint FROM failed_events"
    ).fetchone() or (0,)
    mended = block(event("bad"), received_us=received)
    put(
        pipeline.redis,
        type(mended)(**{name: getattr(mended, name) for name in mended.__struct_fields__} | {"replayed": True}),
    )
    found = reconcile()
    assert found["agrees"]
    assert sums(found) == (1, 0, 0, 1, 0), "failed still, and not in flight as well"
    pipeline.pass_on()
    found = reconcile()
    assert found["agrees"]
    assert sums(found) == (1, 1, 0, 0, 0)


def test_counts_that_were_moved_still_count(pipeline: Pipeline, redis_url: str, reconcile: Any) -> None:
    publish(redis_url, request_of("a", at_us=now_us() - 3_600_000_000), request_of("b"))
    with connect(pipeline.database_url) as connection:
        assert AcceptedCounts(pipeline.redis, 0).move(connection, now_us() / 1e6) == 1
    pipeline.pass_on()
    assert pipeline.redis.hlen(KEYS.accepted) == 1
    assert sums(reconcile()) == (2, 2, 0, 0, 0)
    assert DROPPED_AFTER_SECONDS < 3600


def test_an_entry_that_someone_deleted_is_missing_and_named(pipeline: Pipeline, redis_url: str, reconcile: Any) -> None:
    publish(redis_url, request_of("stays"), request_of("lost1", "lost2"))
    (_, (entry_id, _)) = pipeline.redis.xrange(KEYS.events.stream)  # type: ignore[misc]
    pipeline.redis.xdel(KEYS.events.stream, entry_id)
    pipeline.pass_on()
    publish(redis_url, request_of("waits"))
    (found,) = reconcile()["differences"]
    assert (found["kind"], found["client_id"]) == ("missing", "acme")
    assert found["numbers"] == {"accepted": 4, "stored": 1, "duplicates": 0, "failed": 0, "in_flight": 1}
    assert found["event_ids"] == ["lost1", "lost2", "waits (in flight)"]


def test_redis_that_was_emptied_has_no_count_and_that_is_said(
    pipeline: Pipeline, redis_url: str, reconcile: Any
) -> None:
    publish(redis_url, request_of("a"))
    pipeline.pass_on()
    pipeline.redis.flushall()
    (found,) = reconcile()["differences"]
    assert found["kind"] == "no count"
    assert "Redis has no count for this minute" in found["detail"]


def test_what_is_stored_without_being_accepted_is_a_surplus(pipeline: Pipeline, redis_url: str, reconcile: Any) -> None:
    publish(redis_url, request_of("a"))
    put(pipeline.redis, block(event("smuggled")))
    pipeline.pass_on()
    assert kinds(reconcile()) == ["surplus"]


def test_minutes_before_counting_began_are_not_judged(pipeline: Pipeline, reconcile: Any) -> None:
    put(pipeline.redis, block(event("old"), received_us=now_us() - 3 * 86_400_000_000))
    pipeline.pass_on()
    assert reconcile()["agrees"]


@pytest.mark.parametrize(
    ("harm", "expected", "named"),
    [
        ("DELETE FROM events WHERE event_id = 'a'", ["rows", "rollup"], ["a (id without a row)"]),
        ("DELETE FROM event_ids WHERE event_id = 'a'", ["rows"], ["a (row without an id)"]),
        ("INSERT INTO events SELECT * FROM events WHERE event_id = 'a'", ["rows", "rollup"], ["a (stored 2 times)"]),
        ("UPDATE rollup_events_minute SET events = events + 1", ["rows", "rollup", "totals"], []),
        ("UPDATE rollup_latency_minute SET events = events + 1", ["totals"], []),
        (
            "INSERT INTO failed_events (client_id, event_id, payload, reason, detail, attempts, first_failed_at, "
            "last_failed_at, next_step) VALUES ('acme', 'a', '', 'r', 'd', 1, now(), now(), 'n')",
            ["failed", "stored and failed"],
            ["a"],
        ),
    ],
)
def test_tables_that_do_not_agree_are_named(
    pipeline: Pipeline, redis_url: str, reconcile: Any, harm: str, expected: list[str], named: list[str]
) -> None:
    publish(redis_url, request_of("a", "b"))
    pipeline.pass_on()
    assert reconcile()["agrees"]
    execute(pipeline.database_url, harm)
    found = reconcile()
    assert kinds(found) == expected
    assert [name for one in found["differences"] for name in one["event_ids"]] == named


@pytest.mark.parametrize(
    ("table", "harm"),
    [
        ("rollup_events_minute_sums", "UPDATE {} SET events = events + 1"),
        ("rollup_events_hour", "UPDATE {} SET bytes = bytes + 1 WHERE client_id = 'acme'"),
        ("rollup_events_day", "DELETE FROM {} WHERE client_id = '' AND event_type = ''"),
        ("rollup_latency_minute_sums", "DELETE FROM {}"),
        ("rollup_latency_hour", "UPDATE {} SET bucket = bucket + 1 WHERE client_id = 'acme'"),
        ("rollup_latency_day", "UPDATE {} SET events = events + 1"),
        ("rollup_intake_hour", "UPDATE {} SET duplicates = duplicates + 1, stored = stored - 1"),
        ("rollup_intake_day", "DELETE FROM {}"),
    ],
)
def test_a_coarser_rollup_that_is_not_the_sum_of_its_minutes_is_named(
    pipeline: Pipeline, redis_url: str, reconcile: Any, table: str, harm: str
) -> None:
    publish(redis_url, request_of("a", "b"))
    pipeline.pass_on()
    with psycopg.connect(pipeline.database_url, autocommit=True) as connection:
        compact_rollups(connection, datetime.now(UTC) + timedelta(days=1))
    assert reconcile()["agrees"]
    execute(pipeline.database_url, harm.format(table))
    found = reconcile()
    assert set(kinds(found)) == {"level"}
    _, what, level = table.removesuffix("_sums").split("_")
    details = {one["detail"] for one in found["differences"]}
    assert details == {f"the rollup of {what} by {level} is not the sum of its minutes"}


def test_it_finds_no_false_difference_under_load(pipeline: Pipeline, redis_url: str, reconcile: Any) -> None:
    stop = Event()

    def post() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            publish(
                redis_url, *(request_of(f"{number}-{place}", f"r{number}", client=f"c{place}") for place in range(4))
            )

    poster = Thread(target=post)
    poster.start()
    try:
        with processing(redis_url, pipeline.database_url):
            for _ in range(12):
                assert reconcile()["differences"] == []
            stop.set()
            poster.join()
            wait_until_drained(pipeline.redis)
            found = reconcile()
    finally:
        stop.set()
    assert found["agrees"]
    assert found["balance"]["open_accounts"] == 0
    assert found["balance"]["accepted"] == found["balance"]["stored"] > 0


def test_people_get_a_table(
    pipeline: Pipeline, redis_url: str, reconcile: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(redis_url, request_of("a"))
    assert run(["reconcile"]) == 0
    assert "everything agrees" in capsys.readouterr().out
    pipeline.redis.delete(KEYS.events.stream)
    assert run(["reconcile"]) == 1
    assert "neither stored, nor failed, nor in flight" in capsys.readouterr().out
    assert run(["reconcile", "--from", "yesterday"]) == 2
