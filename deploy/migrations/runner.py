"""Applies migrations: one runner at a time, each file in one transaction, never behind a long lock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

import shared
from deploy.migrations.migration import (
    AppliedMigration,
    Migration,
    MigrationState,
    MigrationStatus,
    compare,
    read_migrations,
    refuse_unsound,
)
from shared.errors import Outage, SchemaError

SCHEMA_FOLDER = Path(shared.__file__).parent / "schema"
CONNECT_SECONDS = 10
# A DDL statement that waits for a lock makes every later query of that table wait behind it.
LOCK_TIMEOUT = "5s"
# Another runner may well be in the middle of a long index build.
RUNNER_TIMEOUT = "60s"
# Any number no other program uses on this database: "weir" in ASCII.
LOCK_ID = 0x77656972

_CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version    int PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""


def migrate(dsn: str, folder: Path = SCHEMA_FOLDER) -> list[str]:
    """Applies what is pending and returns its names, in order; [] when the schema is up to date.

    Concurrent calls wait for one another, and the later ones find nothing to do. When a file fails, those
    before it stay applied. Raises SchemaError (a file is wrong, or the history is) and Outage (try again).
    """
    files = read_migrations(folder)
    with _connection(dsn) as connection:
        _lock(connection)
        connection.execute(_CREATE_TABLE)
        statuses = compare(files, _applied(connection))
        refuse_unsound(statuses)
        pending = {status.version for status in statuses if status.state is MigrationState.PENDING}
        return [_apply(connection, file) for file in files if file.version in pending]


def status(dsn: str, folder: Path = SCHEMA_FOLDER) -> list[MigrationStatus]:
    """How every migration stands; changes nothing and takes no lock. Raises Outage, SchemaError."""
    files = read_migrations(folder)
    with _connection(dsn) as connection:
        return compare(files, _applied(connection))


def _applied(connection: psycopg.Connection[Any]) -> dict[int, AppliedMigration]:
    exists = connection.execute("SELECT to_regclass('schema_migrations') IS NOT NULL").fetchone()
    if not exists or not exists[0]:
        return {}
    rows = connection.execute("SELECT version, name, checksum, applied_at FROM schema_migrations")
    return {row[0]: AppliedMigration(*row) for row in rows}


def _apply(connection: psycopg.Connection[Any], migration: Migration) -> str:
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            connection.execute(migration.sql.encode())
            connection.execute(
                "INSERT INTO schema_migrations (version, name, checksum) VALUES (%s, %s, %s)",
                (migration.version, migration.name, migration.checksum),
            )
    except psycopg.errors.LockNotAvailable as error:
        detail = f"{migration.name} waited more than {LOCK_TIMEOUT} for a lock: end long queries and try again"
        raise Outage("postgresql", detail, sqlstate=error.sqlstate) from error
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        reason = error.diag.message_primary or str(error)
        raise SchemaError(
            f"migration {migration.name} failed and was rolled back: {reason} (SQLSTATE {error.sqlstate})",
            sqlstate=error.sqlstate,
        ) from error
    return migration.name


@contextmanager
def _connection(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise Outage("postgresql", " ".join(str(error).split()), sqlstate=error.sqlstate) from error
    except psycopg.Error as error:
        reason = error.diag.message_primary or str(error)
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            reason += ": let DATABASE_URL name the owner of the schema"
        raise SchemaError(f"schema_migrations: {reason}", sqlstate=error.sqlstate) from error


def _lock(connection: psycopg.Connection[Any]) -> None:
    """Takes the advisory lock of migrations, which is held until the connection is closed."""
    connection.execute(f"SET lock_timeout = '{RUNNER_TIMEOUT}'")
    try:
        connection.execute("SELECT pg_advisory_lock(%s)", (LOCK_ID,))
    except psycopg.errors.LockNotAvailable as error:
        detail = f"another migration has been running for more than {RUNNER_TIMEOUT}: wait for it to end"
        raise Outage("postgresql", detail, sqlstate=error.sqlstate) from error
