"""Both stores are backed up while everything runs, and restored: the counts are the same, nothing is there twice."""

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import redis

from deploy.cli import run
from deploy.embedded import binaries
from deploy.embedded.redis_server import EmbeddedRedis
from tests.conftest import with_database
from tests.gateway_process import ROOT, GatewayUnderTest, new_event, running_gateway, running_processor
from tests.no_settings import forget_settings
from tests.pipeline import intake, stored_ids, totals, wait_until_drained

SCRIPTS = ROOT / "deploy/backup"


@dataclass(frozen=True)
class Stores:
    """A pair of stores that run."""

    redis_url: str
    database_url: str


def script(name: str, *arguments: Path, **environment: str) -> None:
    path = f"{binaries.postgres_bin_dir()}:{os.environ['PATH']}"
    done = subprocess.run(
        [SCRIPTS / name, *arguments], check=False, capture_output=True, text=True, timeout=120,
        env={"PATH": path, "REDIS_SERVER": str(binaries.valkey_server()), **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def back_up(stores: Stores, folder: Path) -> Path:
    script("backup.sh", folder, REDIS_URL=stores.redis_url, DATABASE_URL=stores.database_url)
    return folder


@contextmanager
def restored(redis_copy: Path, dump: Path, folder: Path, server_url: str) -> Iterator[Stores]:
    """New stores, filled from the copies."""
    name = f"weir_restored_{secrets.token_hex(4)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        try:
            url = with_database(server_url, name)
            script("restore_postgres.sh", dump, DATABASE_URL=url)
            folder.mkdir()
            script("restore_redis.sh", redis_copy, folder)
            with EmbeddedRedis(folder) as server:
                yield Stores(server.url, url)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def post(gateway: GatewayUnderTest, ids: list[str]) -> None:
    assert gateway.batch([new_event(event_id=one) for one in ids]).status_code == 202


def process(stores: Stores, folder: Path) -> None:
    """Until nothing waits any more."""
    with (
        redis.Redis.from_url(stores.redis_url) as client,
        running_processor(folder, stores.database_url, stores.redis_url),
    ):
        wait_until_drained(client, within_seconds=60)


def reconcile(stores: Stores, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of `weir reconcile`."""
    forget_settings(monkeypatch, folder)
    monkeypatch.setenv("DATABASE_URL", stores.database_url)
    monkeypatch.setenv("REDIS_URL", stores.redis_url)
    return run(["reconcile", "--json"])


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{number:03}" for number in range(count)]


STORED, WAITING, LATER = names("stored", 50), names("waiting", 30), names("later", 10)


@pytest.fixture
def stores(tmp_path: Path, database_url: str) -> Iterator[Stores]:
    with EmbeddedRedis(tmp_path / "source") as server:
        yield Stores(server.url, database_url)


@pytest.fixture
def postgres_server_url(database_url: str) -> str:
    """Of the same server, with another database."""
    return with_database(database_url, "postgres")


def test_what_was_stored_and_what_waited_is_there_again(
    stores: Stores, tmp_path: Path, postgres_server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_gateway(tmp_path, stores.database_url, stores.redis_url) as gateway:
        post(gateway, STORED)
        process(stores, tmp_path)
        post(gateway, WAITING)
        copy = back_up(stores, tmp_path / "copy")
        key = gateway.key
    with restored(copy / "redis.rdb", copy / "postgres.dump", tmp_path / "restored", postgres_server_url) as again:
        assert stored_ids(again.database_url) == STORED
        with redis.Redis.from_url(again.redis_url) as client:
            assert totals(client)["added"] - totals(client)["settled"] == len(WAITING)
        with running_gateway(tmp_path, again.database_url, again.redis_url) as gateway:
            gateway.key = key
            post(gateway, STORED + WAITING)  # producers that are not sure send again
            process(again, tmp_path)
        assert stored_ids(again.database_url) == STORED + WAITING
        assert reconcile(again, tmp_path, monkeypatch) == 0


def test_what_moved_between_the_two_copies_is_stored_once(
    stores: Stores,
    tmp_path: Path,
    postgres_server_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with running_gateway(tmp_path, stores.database_url, stores.redis_url) as gateway:
        post(gateway, WAITING)
        first = back_up(stores, tmp_path / "first")
        post(gateway, LATER)
        process(stores, tmp_path)
        second = back_up(stores, tmp_path / "second")
    copies = first / "redis.rdb", second / "postgres.dump"
    with restored(*copies, tmp_path / "restored", postgres_server_url) as again:
        process(again, tmp_path)
        assert stored_ids(again.database_url) == LATER + WAITING
        assert intake(again.database_url)["stored"] == len(LATER + WAITING)
        assert reconcile(again, tmp_path, monkeypatch) == 1
        differences = json.loads(capsys.readouterr().out)["differences"]
        assert sum(one["numbers"]["stored"] - one["numbers"]["accepted"] for one in differences) == len(LATER)


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    done = subprocess.run([SCRIPTS / "backup.sh", tmp_path], check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "not empty" in done.stderr
