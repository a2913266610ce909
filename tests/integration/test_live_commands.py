"""`weir top` and `weir tail`, and the live endpoints of a real process that is restarted."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from deploy.cli import run
from tests.fault_proxy import FaultProxy
from tests.gateway_process import ROOT
from tests.no_settings import forget_settings
from tests.pipeline import Pipeline, block, event, put
from tests.waiting import eventually


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture(autouse=True)
def _servers_are_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, redis_url: str, database_url: str) -> None:
    forget_settings(monkeypatch, tmp_path)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("DATABASE_URL", database_url)


def test_top_once_tells_what_waits(client: "redis.Redis", capsys: pytest.CaptureFixture[str]) -> None:
    put(client, block(event("a"), event("b")))
    assert run(["top", "--once", "--json"]) == 0
    glance = json.loads(capsys.readouterr().out)
    assert (glance["lag"], glance["failed"], glance["unavailable"]) == (2, 0, [])
    assert run(["top", "--once"]) == 0
    assert "not stored" in capsys.readouterr().out


def test_top_once_tells_latency_of_what_was_stored(
    client: "redis.Redis", redis_url: str, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put(client, block(event("a")))
    Pipeline(redis_url, database_url).pass_on()
    assert run(["top", "--once", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["latency_ms"]["p50"] > 0


def test_top_shows_the_rest_when_a_server_is_away(
    monkeypatch: pytest.MonkeyPatch, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with FaultProxy(database_url) as proxy:
        proxy.refuse()
        monkeypatch.setenv("DATABASE_URL", proxy.url)
        assert run(["top", "--once", "--json"]) == 0
    glance = json.loads(capsys.readouterr().out)
    assert (glance["unavailable"], glance["lag"], glance["failed"]) == (["postgresql"], 0, None)


def test_tail_shows_so_many_events_of_a_type_and_ends(client: "redis.Redis", redis_url: str, tmp_path: Path) -> None:
    command = ["tail", "--type", "order.paid", "--client", "acme", "--limit", "2", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from deploy.cli import main; main()", *command], cwd=tmp_path, stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT), "REDIS_URL": redis_url, "WEIR_DATA_DIR": str(tmp_path / "data")},
    )  # fmt: skip

    def has_ended() -> Any:
        put(client, block(event("no")), block(event("yes", event_type="order.paid")))
        put(client, block(event("other", event_type="order.paid"), client_id="other"))
        return process.poll() is not None

    eventually(has_ended, within_seconds=40, what="two events were shown")
    assert process.returncode == 0
    lines = process.communicate()[0].splitlines()
    assert [json.loads(line)["event_id"] for line in lines] == ["yes", "yes"]
