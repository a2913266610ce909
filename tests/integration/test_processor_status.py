"""`weir processors status`: what each processor is at, while it runs, waits, halts, and after it is gone."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from deploy.cli import run
from shared.redis_keys import GROUP
from tests.fault_proxy import FaultProxy
from tests.no_settings import forget_settings
from tests.pipeline import KEYS, block, event, execute, put, wait_until_drained
from tests.processor_process import ProcessorProcess
from tests.waiting import eventually


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url) as made:
        yield made


@pytest.fixture
def status(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, redis_url: str, capsys: pytest.CaptureFixture[str]) -> Any:
    """Asks for the status of the one processor there is; None when there is none."""
    forget_settings(monkeypatch, tmp_path)
    monkeypatch.setenv("REDIS_URL", redis_url)

    def ask() -> Any:
        capsys.readouterr()
        assert run(["processors", "status", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        return found[0] if found else None

    return ask


def in_state(status: Any, state: str) -> Any:
    def ask() -> Any:
        found = status()
        return found if found and found["state"] == state else None

    return eventually(ask, within_seconds=20, what=state)


def test_a_running_one_tells_who_it_is_and_how_fast_and_leaves_nothing(
    redis_url: str, database_url: str, client: Any, status: Any
) -> None:
    with ProcessorProcess(redis_url, database_url, WEIR_INSTANCE_NAME="p1") as processor:
        found = in_state(status, "running")
        assert set(found) == {"name", "host", "state", "rate", "pending", "idle_seconds", "last_error", "held"}
        assert found["name"].startswith("p1-")
        assert (found["host"], found["last_error"]) == (socket.gethostname(), None)
        put(client, block(*(event(f"e{n}") for n in range(50))))
        eventually(lambda: status()["rate"] > 0)
        assert 0 < client.ttl(KEYS.processor(found["name"])) <= 10
        processor.terminate()
        assert processor.wait(10) == 0
    assert status() is None


def test_one_that_waits_says_for_which_server_and_why(
    redis_url: str, database_url: str, client: Any, status: Any
) -> None:
    with FaultProxy(database_url) as proxy, ProcessorProcess(redis_url, proxy.url):
        in_state(status, "running")
        proxy.refuse()
        proxy.cut()
        put(client, block(event("a")))
        found = in_state(status, "waiting for PostgreSQL")
        assert found["pending"] == 1
        assert "OperationalError" in found["last_error"]
        proxy.resume()
        in_state(status, "running")
        wait_until_drained(client)


def test_one_that_halted_is_seen_with_its_reason(redis_url: str, database_url: str, client: Any, status: Any) -> None:
    execute(database_url, "ALTER TABLE events RENAME COLUMN context TO surroundings")
    put(client, block(event("a")))
    with ProcessorProcess(redis_url, database_url):
        found = in_state(status, "halted")
        assert found["pending"] == 1
        assert "stream events of shard 0 is halted here" in found["held"]
        assert "weir db status" in found["held"]
        assert client.ttl(KEYS.processor(found["name"])) <= 10


def test_one_that_was_killed_is_gone_with_what_it_left(redis_url: str, client: Any, status: Any) -> None:
    put(client, block(event("a")))
    client.xgroup_create(KEYS.events.stream, GROUP, id="0")
    client.xreadgroup(GROUP, "dead", {KEYS.events.stream: ">"})
    found = status()
    assert (found["name"], found["state"], found["pending"], found["host"]) == ("dead", "gone", 1, None)
