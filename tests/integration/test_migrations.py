"""Migrations on a real server: in order, once, whole or not at all, and refused where the history is unsound."""

import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from deploy.migrations import MigrationState, migrate, runner, status
from shared.errors import Outage, SchemaError
from stream_processor.rollup_compaction import compact_rollups
from tests.conftest import with_database
from tests.rollup_levels import level_differences
from tests.servers import RunningServer
from tests.waiting import eventually

Files = Callable[..., Path]


@pytest.fixture
def empty_database(postgres_server: RunningServer) -> Iterator[str]:
    postgres_server.ensure_running()
    name = sql.Identifier(database := f"weir_test_{secrets.token_hex(4)}")
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        yield with_database(postgres_server.url, database)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Makes the folder of migrations hold exactly these files."""

    def write(**contents: str) -> Path:
        for old in tmp_path.glob("*.sql"):
            old.unlink()
        for name, content in contents.items():
            (tmp_path / f"{name.lstrip('v')}.sql").write_text(content)
        return tmp_path

    return write


def query(dsn: str, text: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(text.encode()).fetchall()


def states(dsn: str, folder: Path) -> dict[str, MigrationState]:
    return {one.name: one.state for one in status(dsn, folder)}


def test_the_schema_of_this_version_applies_and_is_then_up_to_date(empty_database: str) -> None:
    applied = migrate(empty_database)
    assert applied[0] == "0001_events"
    assert migrate(empty_database) == []
    found = status(empty_database)
    assert [one.name for one in found] == applied
    assert all(one.state is MigrationState.APPLIED and one.applied_at for one in found)


def test_only_what_is_new_is_applied_in_order(empty_database: str, files: Files) -> None:
    first = files(v0001_a="CREATE TABLE a (x int)")
    assert migrate(empty_database, first) == ["0001_a"]
    more = files(v0001_a="CREATE TABLE a (x int)", v0002_b="INSERT INTO a VALUES (1)", v0003_c="UPDATE a SET x = x + 1")
    assert set(states(empty_database, more).values()) == {MigrationState.APPLIED, MigrationState.PENDING}
    assert migrate(empty_database, more) == ["0002_b", "0003_c"]
    assert query(empty_database, "SELECT x FROM a") == [(2,)]


def test_asking_for_the_status_changes_nothing(empty_database: str, files: Files) -> None:
    folder = files(v0001_a="CREATE TABLE a (x int)")
    assert states(empty_database, folder) == {"0001_a": MigrationState.PENDING}
    assert query(empty_database, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_a_file_that_fails_is_rolled_back_whole_and_those_before_it_stay(empty_database: str, files: Files) -> None:
    folder = files(v0001_a="CREATE TABLE a (x int)", v0002_b="CREATE TABLE b (x int); SELECT nonsense")
    with pytest.raises(SchemaError, match=r'0002_b failed and was rolled back: column "nonsense".*42703') as caught:
        migrate(empty_database, folder)
    assert caught.value.sqlstate == "42703"
    assert query(empty_database, "SELECT to_regclass('a') IS NOT NULL, to_regclass('b') IS NOT NULL") == [(True, False)]
    assert states(empty_database, folder) == {"0001_a": MigrationState.APPLIED, "0002_b": MigrationState.PENDING}


def test_an_edited_file_is_refused(empty_database: str, files: Files) -> None:
    migrate(empty_database, files(v0001_a="CREATE TABLE a (x int)"))
    edited = files(v0001_a="CREATE TABLE a (x bigint)", v0002_b="CREATE TABLE b (x int)")
    with pytest.raises(SchemaError, match="0001_a is changed in this database"):
        migrate(empty_database, edited)
    assert states(empty_database, edited)["0001_a"] is MigrationState.CHANGED
    assert query(empty_database, "SELECT to_regclass('b') IS NULL") == [(True,)]


def test_a_version_of_a_newer_weir_is_refused(empty_database: str, files: Files) -> None:
    migrate(empty_database, files(v0001_a="CREATE TABLE a (x int)", v0002_b="CREATE TABLE b (x int)"))
    older = files(v0001_a="CREATE TABLE a (x int)")
    with pytest.raises(SchemaError, match="0002_b is unknown in this database: a newer Weir"):
        migrate(empty_database, older)
    assert states(empty_database, older)["0002_b"] is MigrationState.UNKNOWN


def test_a_version_that_was_passed_over_is_refused(empty_database: str, files: Files) -> None:
    folder = files(v0001_a="CREATE TABLE a (x int)", v0002_b="CREATE TABLE b (x int)")
    migrate(empty_database, folder)
    query(empty_database, "DELETE FROM schema_migrations WHERE version = 1 RETURNING version")
    with pytest.raises(SchemaError, match="0001_a is skipped"):
        migrate(empty_database, folder)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["v0001_a", "v0003_c"], "0002 is missing or double: 0003_c"),
        (["v0001_a", "v0001_b"], "0002 is missing or double: 0001_b"),
        (["v0002_a"], "0001 is missing or double: 0002_a"),
        (["v0001_a", "v2_b"], "2_b.sql is not named NNNN_name.sql"),
    ],
)
def test_files_that_are_not_numbered_one_by_one_are_refused(
    empty_database: str, files: Files, names: list[str], told: str
) -> None:
    with pytest.raises(SchemaError, match=told):
        migrate(empty_database, files(**dict.fromkeys(names, "SELECT 1")))


def test_two_at_once_apply_each_file_once(empty_database: str, files: Files) -> None:
    folder = files(v0001_a="CREATE TABLE a (x int)", v0002_b="INSERT INTO a SELECT 1 FROM pg_sleep(0.2)")
    together = threading.Barrier(4)

    def apply() -> list[str]:
        together.wait()
        return migrate(empty_database, folder)

    with ThreadPoolExecutor(4) as pool:
        applied = [name for each in [pool.submit(apply) for _ in range(4)] for name in each.result()]
    assert sorted(applied) == ["0001_a", "0002_b"]
    assert query(empty_database, "SELECT count(*) FROM a") == [(1,)]


def test_a_long_lock_is_an_outage_and_not_a_queue_behind_it(
    empty_database: str, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "LOCK_TIMEOUT", "100ms")
    migrate(empty_database, files(v0001_a="CREATE TABLE a (x int)"))
    folder = files(v0001_a="CREATE TABLE a (x int)", v0002_b="ALTER TABLE a ADD y int")
    with psycopg.connect(empty_database) as reader:
        reader.execute("SELECT * FROM a")
        with pytest.raises(Outage, match="0002_b waited more than 100ms for a lock"):
            migrate(empty_database, folder)
    assert migrate(empty_database, folder) == ["0002_b"]


def test_another_runner_that_never_ends_is_an_outage(
    empty_database: str, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "RUNNER_TIMEOUT", "100ms")
    with psycopg.connect(empty_database, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [runner.LOCK_ID])
        with pytest.raises(Outage, match="another migration has been running"):
            migrate(empty_database, files(v0001_a="SELECT 1"))


def test_a_runner_that_dies_leaves_neither_lock_nor_half_a_file(empty_database: str, files: Files) -> None:
    folder = files(v0001_a="CREATE TABLE a (x int); SELECT pg_sleep(60)")
    sleeping = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"
    with ThreadPoolExecutor(1) as pool:
        doomed = pool.submit(migrate, empty_database, folder)
        pid = eventually(lambda: query(empty_database, f"{sleeping} AND datname = current_database()"))[0][0]
        query(empty_database, f"SELECT pg_terminate_backend({pid})")
        with pytest.raises(Outage):
            doomed.result()
    assert query(empty_database, "SELECT to_regclass('a') IS NULL") == [(True,)]
    assert migrate(empty_database, files(v0001_a="CREATE TABLE a (x int)")) == ["0001_a"]


def test_a_server_that_does_not_answer_is_an_outage_without_its_password() -> None:
    with pytest.raises(Outage) as caught:
        migrate("postgresql://owner:hunter2@127.0.0.1:1/weir")
    assert "hunter2" not in str(caught.value)


def test_rollups_of_before_are_compacted_after_0008(empty_database: str, tmp_path: Path) -> None:
    schema = tmp_path / "until_0007"
    schema.mkdir()
    for file in sorted(runner.SCHEMA_FOLDER.glob("*.sql")):
        if file.name < "0008":
            (schema / file.name).write_text(file.read_text())
    migrate(empty_database, schema)
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO rollup_events_minute SELECT at, 'acme', 'a', 2, 20 FROM "
            "generate_series(timestamptz '2026-03-01Z', '2026-03-03Z', '7 minutes') AS at"
        )
        connection.execute("INSERT INTO rollup_latency_minute VALUES ('2026-03-02Z', 'acme', 'a', 300, 5)")
        migrate(empty_database)
        compact_rollups(connection, datetime(2026, 3, 4, tzinfo=UTC))
        assert list(level_differences(connection)) == []
        days = connection.execute("SELECT events FROM rollup_events_day WHERE client_id = '' AND event_type = ''")
        assert sum(events for (events,) in days) == 2 * 412
