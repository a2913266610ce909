"""`weir up` starts everything, keeps it up, stops it, and however it ends leaves no process and loses nothing."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from deploy.embedded import binaries
from deploy.embedded.local_address import free_port
from tests import processes
from tests.ordinary_user import ORDINARY_USER, copy_all_for_everyone, python_for_everyone
from tests.producer import assert_nothing_lost_or_twice, producing
from tests.waiting import eventually
from tests.weir_up import DEATH_SECONDS, PROJECT, STOP_SECONDS, WEIR, WeirUp, plain_environment

CODE = ("analytics_api", "deploy", "ingest_gateway", "shared", "stream_processor")
FIRST_START_SECONDS = 15.0


@pytest.fixture(scope="module")
def shared_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WeirUp]:
    up = WeirUp(tmp_path_factory.mktemp("shared") / "data", settings={"WEIR_CLAIM_IDLE_SECONDS": "0.5"})
    yield up
    up.close()


@pytest.fixture
def up(shared_up: WeirUp) -> WeirUp:
    """A `weir up` with embedded servers that the tests share, running."""
    shared_up.ensure_up()
    return shared_up


@pytest.fixture
def given(tmp_path: Path, redis_url: str, database_url: str) -> Iterator[WeirUp]:
    """One on servers given by URL, not started yet."""
    given = WeirUp(tmp_path / "given", settings={"REDIS_URL": redis_url, "DATABASE_URL": database_url})
    yield given
    given.close()


def event(event_id: str) -> dict[str, object]:
    return {"event_id": event_id, "event_type": "n", "payload": {}}


def test_the_first_start_is_up_within_15_s_beside_another_and_shows_its_addresses_and_a_key(
    up: WeirUp, tmp_path: Path
) -> None:
    second = WeirUp(tmp_path / "second")
    try:
        assert second.start() < FIRST_START_SECONDS
        assert second.output.count("first key") == 1
        for address in (second.gateway, second.analytics, f"{second.analytics}/dashboard"):
            assert f" {address}" in second.output
        assert f"Bearer {second.key}" in second.output
        assert second.post(event("side-by-side"), wait_seconds=10).json()["accepted"] == 1
        assert second.get("events/side-by-side")["state"] == "stored"
        assert [found["event_id"] for found in up.get("events")["events"]] == []
        # Off a terminal a line tells what flows whenever that changes.
        eventually(lambda: second.output.count(" accepted ") >= 1, what="a line of what flows")
        assert second.post(event("told-of")).status_code == 202
        eventually(lambda: second.output.count(" accepted ") >= 2, what="another one")
        second.stop()
        assert up.pid
    finally:
        second.close()


def test_other_commands_find_the_servers_through_the_data_directory(up: WeirUp) -> None:
    assert [key["name"] for key in up.weir("keys", "list")] == ["first key"]
    assert {stream["name"] for stream in up.weir("streams")} == {"events", "audit", "dead"}


def test_a_second_one_on_the_same_data_directory_is_refused_in_one_line(up: WeirUp) -> None:
    environment = up.environment | {"WEIR_GATEWAY_PORT": str(free_port()), "WEIR_ANALYTICS_PORT": str(free_port())}
    refused = subprocess.run([*WEIR, "up"], env=environment, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert refused.stderr == (
        f"weir: {up.data_dir} is in use by process {up.pid}; stop that one first, or choose another data directory\n"
    )
    assert up.pid
    assert up.weir("keys", "list")


def test_a_port_that_another_program_has_is_named_before_anything_starts(up: WeirUp, tmp_path: Path) -> None:
    environment = up.environment | {"WEIR_DATA_DIR": str(tmp_path / "data")}
    refused = subprocess.run([*WEIR, "up"], env=environment, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert f"the gateway cannot listen on 127.0.0.1:{up.gateway_port}" in refused.stderr
    assert "--gateway-port" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_crashed_services_are_started_again_and_nothing_is_lost(up: WeirUp) -> None:
    with producing(up, "crash") as producer:
        names = ("gateway run", "analytics run", "processor run")
        crashed = [up.find(name) for name in names]
        for pid in crashed:
            os.kill(pid, signal.SIGKILL)
        up.wait_until_up()
        producer.has_more()
    assert not set(crashed) & {up.find(name) for name in names}
    for name in ("gateway", "analytics", "processor-1"):
        assert f"{name} ended with code -9; again in 0.2 s" in up.output
    assert_nothing_lost_or_twice(up, producer)


@pytest.mark.parametrize(("name", "program"), [("Redis", "valkey-server"), ("PostgreSQL", "postgres -D")])
def test_an_embedded_server_that_dies_is_started_again_and_nothing_is_lost(up: WeirUp, name: str, program: str) -> None:
    with producing(up, name) as producer:
        servers = dict(up.servers)
        os.kill(up.find(program), signal.SIGKILL)
        eventually(lambda: f"{name} had ended and is started again" in up.output, within_seconds=20, what="back")
        producer.has_more()
    assert up.servers == servers
    assert_nothing_lost_or_twice(up, producer)


def test_ctrl_c_stops_all_within_10_s_even_when_services_hang(up: WeirUp) -> None:
    for name in ("gateway run", "processor run"):
        os.kill(up.find(name), signal.SIGSTOP)
    up.stop()
    for name in ("gateway", "processor-1"):
        assert f"{name} did not end in time and was killed" in up.output
    assert not (up.data_dir / "servers.json").exists()


def test_ctrl_c_while_it_starts_stops_it_and_the_next_start_is_the_first(tmp_path: Path) -> None:
    up = WeirUp(tmp_path / "data")
    try:
        up.launch()
        eventually((up.data_dir / "redis" / "password").exists, what="it starts the servers")
        up.stop()
        assert "up in" not in up.output
        up.start()
        assert "first key" in up.output
    finally:
        up.close()


def test_a_service_that_runs_but_is_never_ready_is_told_of(shared_up: WeirUp) -> None:
    if shared_up.pid:
        shared_up.stop()
    shared_up.launch()
    eventually(lambda: any("gateway run" in processes.command_line(pid) for pid in shared_up.processes()))
    gateway = shared_up.find("gateway run")
    os.kill(gateway, signal.SIGSTOP)
    eventually(lambda: "gateway runs, but is not ready" in shared_up.output, what="it is told of")
    os.kill(gateway, signal.SIGCONT)
    shared_up.wait_until_up()


def test_kill_9_leaves_no_process_and_the_next_start_goes_on_with_all_data(up: WeirUp) -> None:
    with producing(up, "kill-9") as producer:
        up.kill()
        up.all_gone(DEATH_SECONDS)
    up.start()
    assert "first key" not in up.output
    assert_nothing_lost_or_twice(up, producer)


def test_what_killed_processors_held_is_stored_at_once_after_the_next_start(tmp_path: Path) -> None:
    up = WeirUp(tmp_path / "data", settings={"WEIR_CLAIM_IDLE_SECONDS": "600"})
    try:
        up.start()
        with psycopg.connect(up.servers["database_url"]) as held_up:
            held_up.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
            assert up.post(event("held")).status_code == 202
            eventually(lambda: up.weir("streams")[0]["pending"] == 1, what="a processor holds it")
            up.kill()
            up.all_gone(DEATH_SECONDS)
            held_up.close()
        up.start()
        eventually(lambda: up.get("events/held")["state"] == "stored", within_seconds=10, what="it is stored")
    finally:
        up.close()


def test_an_enricher_that_cannot_be_had_is_told_before_anything_starts(tmp_path: Path) -> None:
    environment = plain_environment(WEIR_DATA_DIR=str(tmp_path / "data"), WEIR_ENRICHERS="no_such_module:add")
    refused = subprocess.run([*WEIR, "up"], env=environment, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith("weir: WEIR_ENRICHERS: 'no_such_module:add' cannot be loaded")
    assert not (tmp_path / "data").exists()


def test_make_killed_with_kill_9_leaves_no_process_either(up: WeirUp) -> None:
    up.stop()
    up.start("make", "--no-print-directory", "up", "ARGS=--processors 2")
    assert (up.data_dir / "logs" / "processor-2.log").exists()
    with producing(up, "make") as producer:
        up.kill()
        up.all_gone(STOP_SECONDS)
    up.start()
    assert_nothing_lost_or_twice(up, producer)


def test_urls_replace_the_embedded_servers(given: WeirUp, database_url: str) -> None:
    given.start()
    assert given.post(event("given"), wait_seconds=10).json()["accepted"] == 1
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT event_id FROM events").fetchall() == [("given",)]
    programs = " ".join(processes.command_line(pid) for pid in given.processes())
    assert "valkey" not in programs
    assert "postgres" not in programs
    assert {path.name for path in given.data_dir.iterdir()} >= {"logs", "servers.json", "secret_key"}
    given.stop()


def test_a_service_that_crashes_again_and_again_ends_all_with_a_word(given: WeirUp) -> None:
    given.start()
    os.kill(given.find("gateway run"), signal.SIGKILL)
    eventually(lambda: not given.is_ready(given.gateway), what="the gateway is gone")
    with socket.create_server(("127.0.0.1", given.gateway_port)):
        assert given.wait(60) == 1
    assert re.search(r"gateway ended with code \d+; again in [\d.]+ s \(log: .*gateway\.log\): \S+", given.output)
    assert given.errors.startswith("weir: gateway crashed 6 times within 60 s, the last time with code ")
    assert given.errors.count("\n") == 1
    assert not given.processes()


def test_whoever_reads_its_output_may_go_away(given: WeirUp) -> None:
    given.launch("sh", "-c", f"{shlex.join([*WEIR, 'up'])} | head -n 3")
    assert given.wait(30) == 0
    assert not given.processes()
    assert not (given.data_dir / "servers.json").exists()


@pytest.mark.skipif(not processes.as_root(), reason="only root can become another user; an ordinary user is one")
def test_an_ordinary_user_runs_it_too() -> None:
    python = python_for_everyone()
    folder = Path(tempfile.mkdtemp(prefix="weir-test-"))
    folder.chmod(0o755)
    packages = [path for path in binaries.postgres_bin_dir().parents[2].iterdir() if _runs(path)]
    copy_all_for_everyone([*(PROJECT / name for name in CODE), *packages], folder / "code")
    home = folder / "home"
    home.mkdir()
    shutil.chown(home, ORDINARY_USER)
    up = WeirUp(
        home / "data",
        settings={"PYTHONPATH": str(folder / "code"), "HOME": str(home)},
        command=(python, "-m", "deploy"),
        user=ORDINARY_USER,
        working_dir=home,
    )
    try:
        up.start()
        assert up.post(event("ordinary"), wait_seconds=10).json()["accepted"] == 1
        owners = {Path(f"/proc/{pid}").owner() for pid in up.processes()}
        assert owners == {ORDINARY_USER}
        up.stop()
    finally:
        up.close()
        shutil.rmtree(folder)


def _runs(path: Path) -> bool:
    """Whether running needs it: the large packages of development do not."""
    return not path.name.startswith(("mypy", "ruff", "falkordb", "hypothesis", "pip", "_pytest", "__", "hadolint"))
