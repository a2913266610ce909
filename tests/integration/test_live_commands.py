"""`weir top` and `weir tail`, and the live endpoints of a real process that is restarted."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
import redis
from websockets.sync.client import ClientConnection, connect

from deploy.cli import run
from shared.api_keys import Scope
from shared.key_store import create_key
from tests.analytics_server import PEPPER
from tests.fault_proxy import FaultProxy
from tests.gateway_process import ROOT, ServiceProcess
from tests.live_viewer import closing, next_message
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
        assert run(["top", "--once", "--json"]) == 1
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


@contextmanager
def running_analytics(folder: Path, port: int, database_url: str, redis_url: str) -> Iterator[ServiceProcess]:
    """`weir analytics run`, ready."""
    settings = {
        "DATABASE_URL": database_url, "REDIS_URL": redis_url, "SECRET_KEY": PEPPER.decode(),
        "WEIR_ANALYTICS_PORT": str(port), "WEIR_LOG_FORMAT": "json",
    }  # fmt: skip
    service = ServiceProcess(["analytics", "run"], folder, settings)

    def is_ready() -> bool:
        assert service.process.poll() is None, service.logs()
        try:
            return httpx2.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
        except httpx2.TransportError:
            return False

    try:
        eventually(is_ready, within_seconds=40, what="the analytics API is ready")
        yield service
    finally:
        service.stop()


def make_admin(database_url: str) -> str:
    async def make() -> str:
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
            _, key = await create_key(connection, PEPPER, client_id="o", name="t", scopes=frozenset((Scope.ADMIN,)))
            return key

    return asyncio.run(make())


def test_viewers_of_a_process_that_ends_are_told_and_may_come_back_to_the_next(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    key = make_admin(database_url)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    headers = {"X-API-Key": key}

    @contextmanager
    def watch() -> Iterator[ClientConnection]:
        address = f"ws://127.0.0.1:{port}/api/v1/ws/metrics"
        with connect(address, additional_headers=headers, open_timeout=20) as viewer:
            viewer.send('{"type": "subscribe"}')
            assert next_message(viewer)["type"] == "metrics"
            yield viewer

    with running_analytics(tmp_path, port, database_url, redis_url) as service:
        tail = httpx2.stream("GET", f"http://127.0.0.1:{port}/api/v1/live/events", headers=headers, timeout=30)
        with watch() as viewer, tail as answer:
            service.terminate()
            assert closing(viewer)[0] == 1012
            assert "event: closed" in "".join(answer.iter_text())
            assert service.ended() == 0
    with running_analytics(tmp_path, port, database_url, redis_url), watch():
        pass
