"""Each part runs under its own Redis user and SQL login, as the shipped examples make them, and may do no more."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
import redis
from websockets.sync.client import connect

from deploy.cli import run
from deploy.embedded import binaries
from deploy.embedded.errors import ServerStartError
from deploy.embedded.redis_server import EmbeddedRedis
from shared.api_keys import Scope
from tests.analytics_process import running_analytics
from tests.gateway_process import SECRET_KEY, GatewayUnderTest, ServiceProcess, new_event, running_gateway, store_key
from tests.least_rights import USERS, RestrictedRedis, redis_with_shipped_users, restricted_redis, run_roles, sql_logins
from tests.no_settings import forget_settings
from tests.pipeline import value, wait_until_drained
from tests.waiting import eventually

FAILING = "tests.failing_events:always_fails"
PROGRAMS = {"redis-7.0": binaries.system_redis_server, "valkey-9.1": binaries.valkey_server}


@pytest.fixture(params=PROGRAMS)
def restricted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RestrictedRedis]:
    with restricted_redis(tmp_path / "redis", PROGRAMS[request.param]()) as server:
        yield server


@contextmanager
def processor(folder: Path, redis_url: str, login: str, **settings: str) -> Iterator[ServiceProcess]:
    urls = {"REDIS_URL": redis_url, "WEIR_PROCESSOR_DATABASE_URL": login}
    service = ServiceProcess(["processor", "run"], folder, urls | settings)
    try:
        yield service
    finally:
        service.stop()


def denied(restricted: RestrictedRedis) -> list[tuple[Any, ...]]:
    """Whom Redis has denied what."""
    with redis.Redis.from_url(restricted.onlooker, decode_responses=True) as client:
        return [(entry["username"], entry["reason"], entry["object"]) for entry in client.acl_log()]


def test_every_part_works_under_a_login_of_its_own(
    restricted: RestrictedRedis,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    urls, logins = restricted.urls, sql_logins(database_url)
    own = {"DATABASE_URL": "", "WEIR_GATEWAY_DATABASE_URL": logins["gateway"], "REDIS_URL": urls["gateway"]}
    failed = "SELECT count(*) FROM failed_events"
    with (
        redis.Redis.from_url(restricted.onlooker) as onlooker,
        running_gateway(
            tmp_path, database_url, urls["gateway"], **own, RATE_LIMIT_REQUESTS_PER_MINUTE="1000"
        ) as gateway,
    ):
        with processor(tmp_path, urls["processor"], logins["processor"], WEIR_ENRICHERS=FAILING):
            assert gateway.batch([new_event() for _ in range(3)]).status_code == 202
            eventually(lambda: value(database_url, failed) == 3, within_seconds=60, what="all fail")
        with processor(tmp_path, urls["processor"], logins["processor"], WEIR_RETRY_INTERVAL_SECONDS="1"):
            replay(gateway)
            stored = gateway.ingest(new_event(event_id="seen"), headers={"Prefer": "wait=30"})
            assert stored.status_code == 200
            eventually(lambda: value(database_url, failed) == 0, within_seconds=60, what="all are stored")
            assert gateway.ingest(new_event(event_id="seen")).status_code in (200, 202)
            ask_everything(tmp_path, database_url, urls["analytics"], logins["analytics"])
            operate(monkeypatch, capsys, tmp_path, database_url, urls["operator"])
            wait_until_drained(onlooker, within_seconds=60)
    assert value(database_url, "SELECT count(*) FROM events") == 4
    assert denied(restricted) == []


def replay(gateway: GatewayUnderTest) -> None:
    answer = gateway.call("POST", "/api/v1/failed-events/replay", key=gateway.admin, json={})
    assert answer.json()["replayed"] == 3


def ask_everything(folder: Path, database_url: str, redis_url: str, login: str) -> None:
    own = {"DATABASE_URL": "", "ANALYTICS_DATABASE_URL": login, "RATE_LIMIT_REQUESTS_PER_MINUTE": "1000"}
    key = store_key(database_url, "operators", Scope.ADMIN)
    with (
        running_analytics(folder, database_url, redis_url, **own) as analytics,
        httpx2.Client(base_url=f"http://127.0.0.1:{analytics.port}", headers={"X-API-Key": key}, timeout=60) as http,
    ):
        for path in (
            "events", "events/seen?client_id=acme", "analytics/events-by-type", "analytics/queue-status",
            "analytics/processing-metrics", "audit/failed-events", "audit/logs",
        ):  # fmt: skip
            assert http.get(f"/api/v1/{path}").status_code == 200, path
        assert http.get("/api/v1/events/unheard-of?client_id=acme").status_code == 404
        assert http.get("/metrics").status_code == 200
        with http.stream("GET", "/api/v1/live/events") as answer:
            assert answer.status_code == 200
        live = f"ws://127.0.0.1:{analytics.port}/api/v1/ws/metrics"
        with connect(live, additional_headers={"X-API-Key": key}) as websocket:
            websocket.send('{"type": "subscribe"}')
            assert json.loads(websocket.recv(timeout=30))["type"] != "error"


def operate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path, database_url: str, redis_url: str
) -> None:
    forget_settings(monkeypatch, folder)
    for name, given in {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "SECRET_KEY": SECRET_KEY}.items():
        monkeypatch.setenv(name, given)
    for command in (
        ["doctor"], ["streams"], ["processors", "status"], ["processors", "pause"], ["processors", "resume"],
        ["failed", "list"], ["top", "--once"],
    ):  # fmt: skip
        code = run([*command, "--json"])
        told = capsys.readouterr()
        assert code == 0 or command == ["doctor"], (command, told)
        if command == ["doctor"]:
            assert not [check for check in json.loads(told.out) if "denied" in str(check).lower()], told.out


def test_the_user_of_backups_may_copy_and_nothing_else(restricted: RestrictedRedis, tmp_path: Path) -> None:
    copy = tmp_path / "redis.rdb"
    command = ["redis-cli", "-u", restricted.urls["backup"], "--rdb", str(copy)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert copy.read_bytes()[-9] == 0xFF
    assert denied(restricted) == []


def test_no_part_may_do_another_ones_work_in_redis(restricted: RestrictedRedis) -> None:
    for part, command in (
        ("gateway", ["XREADGROUP", "GROUP", "weir", "x", "STREAMS", "weir:{0}:events", ">"]),
        ("gateway", ["XACK", "weir:{0}:events", "weir", "1-1"]),
        ("processor", ["SET", "elsewhere", "1"]),
        ("analytics", ["XADD", "weir:{0}:events", "*", "n", "1"]),
        ("analytics", ["DEL", "weir:{0}:audit"]),
        ("operator", ["FLUSHALL"]),
        ("operator", ["CONFIG", "SET", "maxmemory", "1"]),
        ("operator", ["GET", "elsewhere"]),
        ("operator", ["ACL", "LIST"]),
        ("backup", ["XLEN", "weir:{0}:events"]),
    ):
        with (
            redis.Redis.from_url(restricted.urls[part]) as client,
            pytest.raises(redis.exceptions.NoPermissionError),
        ):
            client.execute_command(*command)


def test_no_part_may_do_another_ones_work_in_postgresql(database_url: str) -> None:
    logins = sql_logins(database_url)
    for part, statement in (
        ("gateway", "SELECT FROM events"),
        ("gateway", "SET ROLE weir_writer"),
        ("processor", "SELECT FROM api_keys"),
        ("processor", "DELETE FROM events"),
        ("processor", "DROP TABLE events"),
        ("analytics", "INSERT INTO api_keys SELECT * FROM api_keys"),
        ("analytics", "CREATE TABLE mine ()"),
        ("analytics", "CREATE TEMPORARY TABLE mine ()"),
    ):
        with psycopg.connect(logins[part]) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())


def test_no_login_is_made_without_a_password(database_url: str) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        run_roles(database_url, {"GATEWAY_PASSWORD": "given", "PROCESSOR_PASSWORD": "given"})


def test_redis_refuses_the_users_as_they_are_shipped(tmp_path: Path) -> None:
    folder = tmp_path / "redis"
    server = EmbeddedRedis(folder, binary=binaries.valkey_server(), extra_config={"aclfile": str(USERS)})
    with pytest.raises(ServerStartError):
        server.start()
    assert "ACL" in server.log.read_text()


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_redis_with_the_shipped_users_has_all_it_held_after_a_restart(program: str, tmp_path: Path) -> None:
    # Redis loads its append-only file as the user `default`, and leaves out each transaction, which all that a function
    # writes is, that this user may not do. So it is off, but may do everything.
    with redis_with_shipped_users(tmp_path / "redis", PROGRAMS[program]()) as client:
        with client.pipeline(transaction=True) as both:
            both.xadd("weir:{0}:events", {"a": 1}).hset("weir:{0}:x", "n", "1").execute()
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=client.connection_pool.connection_kwargs["port"]).ping()
    with redis_with_shipped_users(tmp_path / "redis", PROGRAMS[program]()) as client:
        assert (client.xlen("weir:{0}:events"), client.hget("weir:{0}:x", "n")) == (1, b"1")
