"""The life of a failed event: it fails, is seen, is put back, and fails again or is stored; and every count with it."""

import io
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from deploy.cli import run
from shared.stream_entry import decode_blocks
from tests.failing_events import POISON, Failing, failing
from tests.fault_proxy import FaultProxy, Strike
from tests.no_settings import forget_settings
from tests.pipeline import (
    KEYS,
    assert_rollups_equal_recounts,
    block,
    event,
    execute,
    intake,
    now_us,
    put,
    rows,
    stored_ids,
    value,
)
from tests.waiting import eventually

NOTHING_LEFT = "SELECT count(*) FROM events JOIN failed_events USING (client_id, event_id)"


@pytest.fixture
def life(redis_url: str, database_url: str) -> Iterator[Failing]:
    with failing(redis_url, database_url) as made:
        yield made


@pytest.fixture(autouse=True)
def _servers_are_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str, redis_url: str) -> None:
    forget_settings(monkeypatch, tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)


@pytest.fixture
def weir(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `weir failed … --json`; returns what it printed."""

    def ask(*arguments: str, exit_code: int = 0) -> Any:
        capsys.readouterr()  # log lines of the parts that run here
        assert run(["failed", *arguments, "--json"]) == exit_code
        return json.loads(capsys.readouterr().out)

    return ask


def counts(database_url: str) -> dict[str, int]:
    found = intake(database_url)
    return {name: found[name] for name in ("stored", "duplicates", "failed")}


def test_poison_fails_is_replayed_fails_again_and_the_third_time_must_be_forced(
    life: Failing, weir: Any, database_url: str
) -> None:
    life.send(block(event("bad", POISON), event("good")))
    assert stored_ids(database_url) == ["good"]
    (listed,) = weir("list")
    assert (listed["event_id"], listed["reason"], listed["attempts"], listed["replays"]) == (
        "bad",
        "invalid_data",
        1,
        0,
    )
    id_ = str(listed["id"])
    assert weir("show", id_)["payload"] == POISON.decode()

    for replays in (1, 2):
        assert weir("replay", id_) == {"matched": 1, "replayed": 1, "refused": [], "dry_run": False}
        life.pass_on()
        row = life.row()
        assert (row["replays"], row["attempts"], row["same_kind_failures"]) == (replays, replays + 1, replays + 1)
        assert row["replayed_at"] is None

    answer = weir("replay", exit_code=1)
    assert (answer["matched"], answer["replayed"]) == (1, 0)
    assert "failed 3 times in the same way" in answer["refused"][0]["detail"]
    assert "force" in life.row()["next_step"]
    assert life.redis.xlen(KEYS.events.stream) == 0

    assert weir("replay", "--force")["replayed"] == 1
    life.pass_on()
    assert life.row()["same_kind_failures"] == 4
    assert counts(database_url) == {"stored": 1, "duplicates": 0, "failed": 1}


def test_a_mended_enricher_lets_the_replayed_event_be_stored_as_it_was_sent(
    life: Failing, weir: Any, database_url: str
) -> None:
    received_us = now_us() - 3_600_000_000
    sent = block(event("a", b'{"x":  1}'), received_us=received_us)
    life.enricher.broken = True
    life.send(sent)
    assert life.row()["reason"] == "enricher_failed"
    assert counts(database_url) == {"stored": 0, "duplicates": 0, "failed": 1}

    life.enricher.broken = False
    weir("replay")
    (_, fields) = life.redis.xrange(KEYS.events.stream)[0]  # type: ignore[index,misc]
    (put_back,) = decode_blocks(fields[b"e"])
    assert put_back.replayed
    assert msgspec.structs.replace(put_back, replayed=False) == sent
    life.pass_on()
    assert life.rows() == []
    assert stored_ids(database_url) == ["a"]
    assert value(database_url, "SELECT context->>'address' FROM events") == "192.0.2.1"
    assert counts(database_url) == {"stored": 1, "duplicates": 0, "failed": 0}
    assert_rollups_equal_recounts(database_url)


def test_a_failure_of_another_kind_starts_the_count_anew(life: Failing, weir: Any) -> None:
    life.enricher.broken = True
    life.send(block(event("a", POISON)))
    weir("replay")
    life.pass_on()
    assert life.row()["same_kind_failures"] == 2
    life.enricher.broken = False
    weir("replay")
    life.pass_on()
    row = life.row()
    assert (row["reason"], row["sqlstate"], row["same_kind_failures"], row["attempts"]) == (
        "invalid_data",
        "22P05",
        1,
        3,
    )


def test_an_event_under_way_is_not_replayed_twice(life: Failing, weir: Any, database_url: str) -> None:
    life.send(block(event("a", POISON)))
    weir("replay")
    answer = weir("replay", exit_code=1)
    assert "being replayed" in answer["refused"][0]["detail"]
    assert life.redis.xlen(KEYS.events.stream) == 1
    assert weir("discard", "--yes", exit_code=1)["discarded"] == 0


def test_a_replay_that_redis_lost_may_be_repeated_and_two_under_way_are_counted_once(
    life: Failing, weir: Any, database_url: str
) -> None:
    life.enricher.broken = True
    life.send(block(event("a")))
    weir("replay")
    execute(database_url, "UPDATE failed_events SET replayed_at = replayed_at - interval '11 minutes'")
    weir("replay")
    life.enricher.broken = False
    life.pass_on()
    assert stored_ids(database_url) == ["a"]
    assert counts(database_url) == {"stored": 1, "duplicates": 0, "failed": 0}


def test_what_the_producer_sends_again_and_is_stored_is_no_longer_failed(life: Failing, database_url: str) -> None:
    first_us, second_us, third_us = (now_us() - minutes * 60_000_000 for minutes in (30, 20, 10))
    life.send(block(event("a", POISON), received_us=first_us))
    life.send(block(event("a", POISON), received_us=second_us))
    assert counts(database_url) == {"stored": 0, "duplicates": 0, "failed": 2}
    life.send(block(event("a"), received_us=third_us))
    assert life.rows() == []
    by_minute = rows(database_url, "SELECT stored, duplicates, failed FROM rollup_intake_minute ORDER BY bucket_start")
    assert by_minute == [(0, 1, 0), (0, 1, 0), (1, 0, 0)]


def test_among_many_failed_events_the_stored_ones_are_found(life: Failing, weir: Any, database_url: str) -> None:
    life.enricher.broken = True
    life.send(block(*(event(f"e{place}") for place in range(600))))
    life.enricher.broken = False
    life.send(block(event("e7"), event("e599"), event("new")))
    assert len(life.rows()) == 598
    assert counts(database_url) == {"stored": 3, "duplicates": 2, "failed": 598}
    assert weir("replay")["replayed"] == 598
    life.pass_on()
    assert life.rows() == []
    assert counts(database_url) == {"stored": 601, "duplicates": 2, "failed": 0}
    assert_rollups_equal_recounts(database_url)


def test_a_replay_that_comes_after_the_producers_own_repeat_counts_nothing(
    life: Failing, weir: Any, database_url: str
) -> None:
    life.enricher.broken = True
    life.send(block(event("a")))
    put(life.redis, block(event("a")))
    weir("replay")
    life.enricher.broken = False
    life.pass_on()
    assert stored_ids(database_url) == ["a"]
    assert life.rows() == []
    assert counts(database_url) == {"stored": 1, "duplicates": 1, "failed": 0}


def test_a_failure_on_its_way_is_not_written_beside_its_stored_event(life: Failing, database_url: str) -> None:
    put(life.redis, block(event("a", POISON)))
    life.events.pass_on()
    put(life.redis, block(event("a")))
    life.events.pass_on()
    life.dead.pass_on()
    assert life.rows() == []
    assert value(database_url, NOTHING_LEFT) == 0
    assert counts(database_url) == {"stored": 1, "duplicates": 1, "failed": 0}


def test_storing_and_failing_at_once_leave_the_event_in_one_place(life: Failing, database_url: str) -> None:
    put(life.redis, block(event("a", POISON)))
    life.events.pass_on()
    put(life.redis, block(event("a")))
    with psycopg.connect(database_url) as storing:
        storing.execute("INSERT INTO event_ids VALUES ('acme', 'a', now(), 0)")
        life.dead.connection.execute("SET statement_timeout = '300ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):  # it waits for what becomes of the event
            life.dead.pass_on()
    assert life.rows() == []


def test_who_stores_an_event_waits_for_who_writes_it_down_as_failed(life: Failing, database_url: str) -> None:
    put(life.redis, block(event("a", POISON)))
    life.events.pass_on()
    put(life.redis, block(event("a")))
    entries, dead = life.dead.read(), life.dead.connection
    with ThreadPoolExecutor() as threads:
        with dead.transaction():
            fresh = frozenset(entry.entry_id for entry in entries)
            life.dead.sink.write(dead, life.dead.prepare(entries), fresh, isolate=False)
            storing = threads.submit(life.events.pass_on)
            eventually(lambda: value(database_url, "SELECT count(*) FROM pg_locks WHERE NOT granted"), what="one waits")
        storing.result(10)
    assert life.rows() == []
    assert stored_ids(database_url) == ["a"]
    assert counts(database_url) == {"stored": 1, "duplicates": 1, "failed": 0}


def test_an_event_discarded_while_its_replay_is_lost_and_found_counts_as_stored(
    life: Failing, weir: Any, database_url: str
) -> None:
    life.enricher.broken = True
    life.send(block(event("a")))
    weir("replay")
    execute(database_url, "UPDATE failed_events SET replayed_at = replayed_at - interval '11 minutes'")
    assert weir("discard", "--yes")["discarded"] == 1
    life.enricher.broken = False
    life.pass_on()
    assert counts(database_url) == {"stored": 1, "duplicates": 0, "failed": 0}


def test_a_replay_that_dies_before_its_commit_loses_and_doubles_nothing(
    life: Failing, weir: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    life.enricher.broken = True
    life.send(block(event("a"), event("b")))
    with FaultProxy(database_url) as proxy:
        proxy.strike(b"COMMIT", Strike.CUT)
        monkeypatch.setenv("DATABASE_URL", proxy.url)
        assert run(["failed", "replay"]) == 1
    assert {row["replays"] for row in life.rows()} == {0}
    assert life.redis.hget(KEYS.events.totals, "added") == b"4"
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert weir("replay")["replayed"] == 2
    life.enricher.broken = False
    life.pass_on()
    assert stored_ids(database_url) == ["a", "b"]
    assert life.rows() == []
    assert counts(database_url) == {"stored": 2, "duplicates": 0, "failed": 0}


def test_filters_choose_by_client_type_reason_time_and_number(life: Failing, weir: Any, database_url: str) -> None:
    life.send(block(event("a", POISON), event("b", POISON, event_type="user.left")))
    life.send(block(event("c", POISON), client_id="other"))
    execute(database_url, "UPDATE failed_events SET last_failed_at = '2026-01-02T00:00Z' WHERE event_id = 'a'")

    def ids(*filters: str) -> list[str]:
        return sorted(one["event_id"] for one in weir("list", *filters))

    assert ids() == ["a", "b", "c"]
    assert ids("--client-id", "other") == ["c"]
    assert ids("--type", "user.left") == ["b"]
    assert ids("--reason", "enricher_failed") == []
    assert ids("--until", "2026-01-03") == ["a"]
    assert ids("--since", "2026-01-02T00:00:00Z", "--until", "2026-01-02T00:00:01Z") == ["a"]
    assert ids("--since", "2026-01-03") == ["b", "c"]
    assert len(ids("--limit", "2")) == 2
    assert weir("replay", "--client-id", "acme", "--type", "order.created")["replayed"] == 1


def test_a_dry_run_says_what_would_be_done_and_does_nothing(life: Failing, weir: Any) -> None:
    life.send(block(event("a", POISON), event("b", POISON)))
    before = life.rows()
    assert weir("replay", "--dry-run") == {"matched": 2, "replayed": 2, "refused": [], "dry_run": True}
    assert weir("discard", "--dry-run")["discarded"] == 2
    assert life.rows() == before
    assert life.redis.xlen(KEYS.events.stream) == 0


def test_a_replay_keeps_to_its_rate(life: Failing, weir: Any) -> None:
    life.send(block(*(event(f"e{place}", POISON) for place in range(12))))
    began = time.monotonic()
    assert weir("replay", "--rate", "20")["replayed"] == 12
    assert time.monotonic() - began >= 0.45
    assert life.redis.xlen(KEYS.events.stream) == 6  # two at a time


def test_discarding_asks_and_leaves_a_line(
    life: Failing, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    life.send(block(event("a", POISON), event("b", POISON)))
    id_ = str(life.rows()[0]["id"])
    assert run(["failed", "discard", id_]) == 1
    assert "not confirmed" in capsys.readouterr().err
    assert len(life.rows()) == 2
    assert run(["failed", "discard", id_, "--yes"]) == 0
    line = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert (line["action"], line["client_id"], line["event_id"]) == ("failed_event.discarded", "acme", "a")
    assert [row["event_id"] for row in life.rows()] == ["b"]


def test_bytes_of_another_hand_are_shown_harmless_and_cannot_be_replayed(
    life: Failing, weir: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    life.redis.xadd(KEYS.events.stream, {"n": 1, "e": b"\xff\x1b[2J\xe2\x80\xae"})
    life.pass_on()
    row = life.row()
    shown = weir("show", str(row["id"]))
    assert shown["payload"] == "\\xff\\x1b[2J\\u202e"
    assert shown["payload_base64"] == "/xtbMkrigK4="
    assert run(["failed", "show", str(row["id"])]) == 0
    assert "\x1b" not in capsys.readouterr().out
    assert "not an event" in weir("replay", exit_code=1)["refused"][0]["detail"]


def test_what_is_not_there_is_said(life: Failing, weir: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert weir("list") == []
    assert weir("replay") == {"matched": 0, "replayed": 0, "refused": [], "dry_run": False}
    assert weir("discard", "7", "--yes", exit_code=1)["refused"][0]["id"] == 7
    assert run(["failed", "show", "7"]) == 1
    assert run(["failed", "list", "--since", "2026-01-02", "--until", "2026-01-01"]) == 2
    assert run(["failed", "list", "--reason", "bad_luck"]) == 2
