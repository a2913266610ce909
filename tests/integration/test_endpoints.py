"""Which servers a command talks to, and as whom."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from deploy.endpoints import ROLES, Endpoints, resolve_endpoints, with_role
from deploy.servers_file import (
    RunningServers,
    ensure_secret_key,
    read_servers_file,
    remove_servers_file,
    write_servers_file,
)
from shared.errors import SettingsError
from shared.settings import load_settings
from tests.no_settings import forget_settings
from tests.waiting import eventually

SERVERS = RunningServers(
    pid=os.getpid(),
    redis_url="redis://up/0",
    database_url="postgresql://o/d",
    gateway_database_url="postgresql://g/d",
    processor_database_url="postgresql://p/d",
    analytics_database_url="postgresql://a/d",
)


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forget_settings(monkeypatch, tmp_path)


def resolved(**options: object) -> Endpoints:
    return resolve_endpoints(load_settings(options))


def whoami(url: str, setting: str = "application_name") -> tuple[str, str]:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT current_user, current_setting(%s)", [setting]).fetchone()
        assert row is not None
        return row


def test_the_gateway_is_that_of_the_running_fleet_unless_settings_name_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert resolved(data_dir=tmp_path).gateway_url == "http://127.0.0.1:8000"
    write_servers_file(tmp_path, replace(SERVERS, gateway_url="http://127.0.0.1:8123"))
    assert resolved(data_dir=tmp_path).gateway_url == "http://127.0.0.1:8123"
    monkeypatch.setenv("WEIR_GATEWAY_PORT", "9000")
    monkeypatch.setenv("WEIR_GATEWAY_HOST", "::")
    assert resolved(data_dir=tmp_path).gateway_url == "http://127.0.0.1:9000"


def test_where_no_fleet_runs_the_whole_path_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"no `weir up` runs on {tmp_path}/there:"):
        _ = resolved(data_dir=Path("there")).redis_url


@pytest.mark.parametrize(("name", "role"), ROLES.items())
def test_one_database_url_serves_every_part_in_its_own_role(database_url: str, name: str, role: str) -> None:
    assert whoami(getattr(resolved(database_url=database_url), name))[0] == role
    assert whoami(resolved(database_url=database_url).database_url)[0] not in ROLES.values()


@pytest.mark.parametrize(
    ("query", "setting", "value"),
    [
        ("options=-c%20statement_timeout%3D1234", "statement_timeout", "1234ms"),
        ("application_name=a%20b%2Bc", "application_name", "a b+c"),
        ("options=-c%20role%3Dweir_reader&application_name=x", "application_name", "x"),
        ("options=-c%20application_name%3Da%5C%20b", "application_name", "a b"),
    ],
)
def test_the_role_joins_what_the_url_says_already(database_url: str, query: str, setting: str, value: str) -> None:
    assert whoami(with_role(f"{database_url}?{query}", "weir_writer"), setting) == ("weir_writer", value)


def test_explicit_urls_win_over_a_running_weir_up(tmp_path: Path) -> None:
    write_servers_file(tmp_path, SERVERS)
    found = resolved(data_dir=tmp_path, redis_url="redis://mine/0", gateway_database_url="postgresql://mine/d")
    assert (found.redis_url, found.gateway_database_url) == ("redis://mine/0", "postgresql://mine/d")
    assert (found.processor_database_url, found.database_url) == ("postgresql://p/d", "postgresql://o/d")


def test_a_part_with_urls_of_its_own_needs_no_others() -> None:
    found = resolved(redis_url="redis://mine/0", gateway_database_url="postgresql://mine/d")
    assert found.gateway_database_url == "postgresql://mine/d"
    with pytest.raises(SettingsError, match="DATABASE_URL is not set, and no `weir up` runs"):
        _ = found.database_url


def test_the_servers_of_a_weir_up_that_ended_are_not_used(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    write_servers_file(tmp_path, RunningServers(ended.pid, "redis://up/0", *["postgresql://h/d"] * 4))
    assert read_servers_file(tmp_path) is None
    with pytest.raises(SettingsError, match="start `weir up`"):
        _ = resolved(data_dir=tmp_path).redis_url


def test_a_weir_up_that_ended_counts_as_ended_before_anyone_has_reaped_it(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        write_servers_file(tmp_path, RunningServers(ended.pid, "redis://up/0", *["postgresql://h/d"] * 4))
        eventually(lambda: read_servers_file(tmp_path) is None, what="it counts as ended")
        assert Path(f"/proc/{ended.pid}").exists()


def test_what_is_written_is_private_and_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    write_servers_file(folder, SERVERS)
    ensure_secret_key(folder)
    assert read_servers_file(folder) == SERVERS
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {
        "servers.json": 0o600,
        "secret_key": 0o600,
    }
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    remove_servers_file(folder)
    assert read_servers_file(folder) is None


def test_a_servers_file_of_another_version_is_told_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "servers.json").write_text('{"pid": 1}')
    with pytest.raises(SettingsError, match="restart `weir up`"):
        read_servers_file(tmp_path)


def test_the_secret_key_is_made_once_though_many_ask_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(lambda _: ensure_secret_key(tmp_path / "data"), range(64)))
    assert len(keys) == 1
    assert len(keys.pop()) == 64
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["secret_key"]


def test_a_secret_key_of_the_settings_is_not_written_anywhere(tmp_path: Path) -> None:
    assert resolved(data_dir=tmp_path / "data", secret_key="mine").secret_key == b"mine"
    assert not (tmp_path / "data").exists()


def test_no_repr_shows_a_password() -> None:
    servers = RunningServers(1, *["redis://:hunter2@h/0"] * 5)
    assert "hunter2" not in repr(servers)
    assert "hunter2" not in repr(Endpoints(load_settings({"redis_url": "redis://:hunter2@h/0"}), servers))
