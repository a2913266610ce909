"""Streams that are held: who reads on, who stores what is in hand, and what it takes to go on."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from deploy.cli import run
from deploy.connections import sync_redis
from deploy.fleet.standing import Standing
from shared.stream_hold import HoldKind, StreamHolds, read_holds
from tests.fault_proxy import FaultProxy
from tests.no_settings import forget_settings
from tests.pipeline import KEYS, block, event, pending, processing, put, stored_ids, wait_until_drained
from tests.servers import EmbeddedUnderTest
from tests.waiting import eventually


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url) as made:
        yield made


@pytest.fixture
def weir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, redis_url: str, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command and returns what it printed as JSON."""
    forget_settings(monkeypatch, tmp_path)
    monkeypatch.setenv("REDIS_URL", redis_url)

    def command(*arguments: str) -> Any:
        capsys.readouterr()
        assert run(["processors", *arguments, "--json"]) == 0
        out = capsys.readouterr().out  # the processor of the test logs there too
        return json.JSONDecoder().raw_decode(out, re.search(r"^\[$", out, re.MULTILINE).start())[0]

    return command


def standing(processor: Any, state: str) -> float:
    return float(processor.metric("weir_processor_standing", stream="events", state=state))


def test_the_first_hold_stays_until_it_is_lifted(any_redis: EmbeddedUnderTest) -> None:
    with sync_redis(any_redis.url, 4) as client:
        holds = StreamHolds(client)
        assert holds.read(KEYS.events) == (None, 0)
        assert holds.hold(KEYS.events, HoldKind.HALTED, "p1", "why")
        assert not holds.hold(KEYS.events, HoldKind.PAUSED, "ann", "lunch")
        (hold,) = read_holds(client, 1)
        assert (hold.kind, hold.by, hold.reason) == (HoldKind.HALTED, "p1", "why")
        assert holds.resume(KEYS.events) == hold
        assert holds.resume(KEYS.events) is None
        assert holds.read(KEYS.events) == (None, 2)


def test_a_full_redis_can_be_held_and_resumed(client: Any) -> None:
    client.set("some", "thing")
    client.config_set("maxmemory", 1)
    try:
        assert StreamHolds(client).hold(KEYS.audit, HoldKind.PAUSED, "ann", "")
        assert StreamHolds(client).resume(KEYS.audit) is not None
    finally:
        client.config_set("maxmemory", 0)


def test_a_paused_processor_reads_nothing_and_goes_on_when_resumed(
    redis_url: str, database_url: str, client: Any, weir: Any
) -> None:
    with processing(redis_url, database_url) as processor:
        put(client, block(event("before")))
        wait_until_drained(client)
        (hold,) = weir("pause", "--stream", "events", "--reason", "moving house")
        assert (hold["stream"], hold["kind"], hold["reason"]) == ("events", "paused", "moving house")
        eventually(lambda: standing(processor, "paused") == 1)
        put(client, block(event("after")))
        (found,) = eventually(lambda: [one for one in weir("status") if one["state"] == "paused"])
        assert f"is paused by {hold['by']} since" in found["held"]
        assert client.xlen(KEYS.events.stream) == 1
        assert pending(client) == 0
        assert [one["by"] for one in weir("resume")] == [hold["by"]]
        wait_until_drained(client)
        eventually(lambda: standing(processor, "paused") == 0)
    assert stored_ids(database_url) == ["after", "before"]


def test_what_is_in_hand_is_stored_before_a_processor_stands_still(
    redis_url: str, database_url: str, client: Any, weir: Any
) -> None:
    with FaultProxy(database_url) as proxy, processing(redis_url, proxy.url) as processor:
        put(client, block(event("first")))
        wait_until_drained(client)
        proxy.pause()
        put(client, block(event("in hand")))
        eventually(lambda: pending(client) == 1)
        weir("pause")
        proxy.resume()
        eventually(lambda: standing(processor, "paused") == 1)
        assert pending(client) == 0
    assert stored_ids(database_url) == ["first", "in hand"]


def test_a_pause_outlives_the_processors(redis_url: str, database_url: str, client: Any, weir: Any) -> None:
    weir("pause")
    for _ in range(2):
        with processing(redis_url, database_url) as processor:
            put(client, block(event("a")))
            eventually(lambda processor=processor: standing(processor, "paused") == 1)
    assert stored_ids(database_url) == []
    weir("resume")
    with processing(redis_url, database_url):
        wait_until_drained(client)
    assert stored_ids(database_url) == ["a"]


def test_a_halt_leaves_what_others_have_in_hand_unstored(redis_url: str, database_url: str, client: Any) -> None:
    with FaultProxy(database_url) as proxy, processing(redis_url, proxy.url, batch_events=1) as processor:
        put(client, block(event("first")))
        wait_until_drained(client)
        proxy.pause()
        for n in range(3):  # written, waiting, and in the reader's hand
            put(client, block(event(f"e{n}")))
        eventually(lambda: pending(client) == 3)
        proxy.resume()
        StreamHolds(client).hold(KEYS.events, HoldKind.HALTED, "another", "too many failed")
        eventually(lambda: standing(processor, "halted") == 1)
        StreamHolds(client).resume(KEYS.events)
        wait_until_drained(client)
    assert stored_ids(database_url) == ["e0", "e1", "e2", "first"]


def test_a_person_is_told_who_holds_what_and_how_to_go_on_though_no_processor_runs(
    client: Any, weir: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    weir("pause", "--stream", "audit", "--reason", "moving\nhouse")
    assert run(["processors", "status"]) == 0
    told = capsys.readouterr().out
    assert "stream audit of shard 0 is paused by" in told
    assert told.splitlines()[0].endswith("moving house; to go on: weir processors resume --stream audit")
    assert run(["processors", "resume"]) == 0
    assert "goes on: stream audit" in capsys.readouterr().out
    assert run(["processors", "resume"]) == 0
    assert "no stream was held" in capsys.readouterr().out


def test_weir_up_tells_of_a_hold_once_and_marks_each_line(client: Any) -> None:
    watch = Standing(1)
    assert watch.look(client) == ("", [])
    StreamHolds(client).hold(KEYS.events, HoldKind.PAUSED, "ann", "lunch")
    mark, (news,) = watch.look(client)
    assert "PAUSED" in mark
    assert "is paused by ann since" in news
    assert watch.look(client) == (mark, [])
    client.hset(KEYS.processor("p1"), mapping={"state": "halted", "held": "stream audit is halted here: no table"})
    mark, (news,) = watch.look(client)
    assert "HALTED" in mark
    assert news == "p1: stream audit is halted here: no table"
