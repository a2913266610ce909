"""What operators run against real servers: keys, migrations, the doctor."""

import json
import re
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import redis

from deploy.cli import run
from shared.api_keys import parse_key, secret_hmac
from shared.redis_keys import ShardKeys
from tests.no_settings import forget_settings
from tests.servers import EmbeddedUnderTest

PEPPER = "a pepper of the tests"


@pytest.fixture(autouse=True)
def _database_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str) -> None:
    forget_settings(monkeypatch, tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("SECRET_KEY", PEPPER)


@pytest.fixture
def weir(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command with --json; returns what it printed."""

    def ask(*arguments: str, exit_code: int = 0) -> Any:
        assert run([*arguments, "--json"]) == exit_code
        printed = capsys.readouterr().out
        return json.loads(printed) if printed else None

    return ask


def test_a_key_is_shown_once_and_only_its_hash_is_kept(weir: Any, database_url: str) -> None:
    made = weir("keys", "create", "--client-id", "github", "--name", "GitHub [main]", "--rate-limit", "6000")
    assert set(made) == {"key", "public_id"}
    parts = parse_key(made["key"])
    assert parts is not None
    assert parts.public_id == made["public_id"]
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT secret_hmac, scopes, rate_limit FROM api_keys").fetchone()
    assert row == (secret_hmac(PEPPER.encode(), parts.secret), ["ingest", "read"], 6000)
    assert parts.secret not in json.dumps(weir("keys", "list"))


def test_a_key_can_be_turned_off_and_on_given_a_new_secret_and_deleted(weir: Any) -> None:
    made = weir("keys", "create", "--client-id", "a", "--scope", "admin")
    public_id = made["public_id"]
    assert weir("keys", "toggle", public_id)[0]["is_active"] is False
    assert weir("keys", "toggle", public_id)[0]["is_active"] is True
    rotated = weir("keys", "rotate", public_id, "--yes")
    assert rotated["public_id"] == public_id
    assert rotated["key"] != made["key"]
    assert weir("keys", "delete", public_id, "--yes") == {"deleted": public_id}
    assert weir("keys", "list") == []


def test_the_list_is_of_all_clients_or_of_one(weir: Any) -> None:
    weir("keys", "create", "--client-id", "a")
    weir("keys", "create", "--client-id", "b", "--expires-at", "2999-01-01")
    assert [key["client_id"] for key in weir("keys", "list")] == ["b", "a"]
    assert [key["expires_at"] for key in weir("keys", "list", "--client-id", "b")] == ["2999-01-01T00:00:00+00:00"]


@pytest.mark.parametrize("command", [["toggle"], ["rotate", "--yes"], ["delete", "--yes"]])
def test_a_key_that_is_not_there_is_an_error(capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    assert run(["keys", *command, "nosuchkey"]) == 1
    assert capsys.readouterr().err == "weir: there is no key nosuchkey: `weir keys list` shows all\n"


def test_names_are_shown_as_they_are_whatever_they_hold(weir: Any, capsys: pytest.CaptureFixture[str]) -> None:
    weir("keys", "create", "--client-id", "a", "--name", "[bold]x[/bold] Grüße")
    assert run(["keys", "list"]) == 0
    assert "[bold]x[/bold] Grüße" in capsys.readouterr().out


def test_the_schema_is_up_to_date_and_said_to_be(weir: Any) -> None:
    assert weir("db", "migrate") == {"applied": []}
    assert {one["state"] for one in weir("db", "status")} == {"applied"}


def test_what_needs_the_schema_says_so_where_it_is_missing(
    capsys: pytest.CaptureFixture[str], database_url: str
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("DROP TABLE api_keys")
    assert run(["keys", "list"]) == 1
    assert re.search(r'"api_keys" does not exist: run `weir db migrate` first\n$', capsys.readouterr().err)


@pytest.mark.parametrize(
    "command",
    [["failed", "list"], ["partitions", "list"], ["retention", "run", "--dry-run"], ["db", "status"], ["keys", "list"]],
)
def test_a_login_without_rights_is_told_what_it_lacks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, database_url: str, command: list[str]
) -> None:
    name = f"stranger_{secrets.token_hex(4)}"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'hunter2'".encode())
    parts = urlsplit(database_url)
    netloc = f"{name}:hunter2@{parts.netloc.rpartition('@')[2]}"
    monkeypatch.setenv("DATABASE_URL", urlunsplit(parts._replace(netloc=netloc)))
    try:
        assert run(command) == 1
    finally:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(f"DROP ROLE {name}".encode())
    error = capsys.readouterr().err
    assert "permission denied" in error
    assert "let DATABASE_URL name the owner" in error
    assert error.count("\n") == 1
    assert "hunter2" not in error


def test_streams_tells_events_not_entries(weir: Any, monkeypatch: pytest.MonkeyPatch, redis_url: str) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    assert {(one["name"], one["length"], one["lag"]) for one in weir("streams")} == {
        ("events", 0, 0),
        ("audit", 0, 0),
        ("dead", 0, 0),
    }
    keys = ShardKeys(0).events
    with redis.Redis.from_url(redis_url) as client:
        client.xadd(keys.stream, {"n": 5, "e": b""}, id="1-5")
        client.hset(keys.totals, mapping={"added": 5})
    events = next(one for one in weir("streams") if one["name"] == "events")
    assert (events["shard"], events["length"], events["lag"], events["pending"]) == (0, 5, 5, 0)
    assert events["oldest_age_seconds"] > 0


def test_streams_of_a_server_that_is_away_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:hunter2@127.0.0.1:1/0")
    assert run(["streams"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("weir: redis: ConnectionError")
    assert error.count("\n") == 1
    assert "hunter2" not in error


def levels(checks: list[dict[str, str]]) -> dict[str, str]:
    return {check["name"]: check["level"] for check in checks}


def test_the_doctor_finds_nothing_on_sound_servers(
    weir: Any, monkeypatch: pytest.MonkeyPatch, any_redis: EmbeddedUnderTest
) -> None:
    monkeypatch.setenv("REDIS_URL", any_redis.url)
    found = levels(weir("doctor"))
    assert found.pop("secret key") == "warn"
    assert found.pop("disk") in {"ok", "warn"}
    assert set(found.values()) == {"ok"}


def test_the_doctor_finds_what_would_lose_data(
    weir: Any, monkeypatch: pytest.MonkeyPatch, any_redis: EmbeddedUnderTest, database_url: str
) -> None:
    monkeypatch.setenv("REDIS_URL", any_redis.url)
    with psycopg.connect(database_url, autocommit=True) as connection, redis.Redis.from_url(any_redis.url) as client:
        connection.execute("DELETE FROM schema_migrations WHERE version = (SELECT max(version) FROM schema_migrations)")
        name = connection.info.dbname
        connection.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off'.encode())
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("appendfsync", "no")
        try:
            found = levels(weir("doctor", exit_code=1))
        finally:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("appendfsync", "everysec")
    assert found["redis maxmemory-policy"] == "fail"
    assert found["redis appendfsync"] == "warn"
    assert found["migrations"] == "fail"
    assert found["postgresql synchronous_commit"] == "fail"


def test_the_doctor_tells_of_a_server_that_does_not_answer(weir: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:hunter2@127.0.0.1:1/0")
    checks = {check["name"]: check for check in weir("doctor", exit_code=1)}
    assert checks["redis"]["level"] == "fail"
    assert checks["postgresql"]["level"] == "ok"
    assert "hunter2" not in json.dumps(checks)
