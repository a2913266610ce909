"""A migration file, and what comparing the files with the database says. Pure, but for reading the folder."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from shared.errors import SchemaError

_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One file `NNNN_name.sql`; `checksum` is the SHA-256 of its bytes."""

    version: int
    name: str
    checksum: str
    sql: str


@dataclass(frozen=True, slots=True)
class AppliedMigration:
    """One row of `schema_migrations`."""

    version: int
    name: str
    checksum: str
    applied_at: datetime


class MigrationState(StrEnum):
    """How a migration stands in one database."""

    APPLIED = "applied"
    PENDING = "pending"
    CHANGED = "changed"  # applied, and its file is another since
    SKIPPED = "skipped"  # not applied, though a later one is
    UNKNOWN = "unknown"  # applied by a version of Weir that has files this one lacks


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """One line of `weir db status`."""

    version: int
    name: str
    state: MigrationState
    applied_at: datetime | None


def read_migrations(folder: Path) -> list[Migration]:
    """The folder's migrations in order; raises SchemaError unless they are numbered 1, 2, 3, …"""
    migrations = []
    for path in sorted(folder.glob("*.sql")):
        if not (parts := _FILE_NAME.fullmatch(path.name)):
            raise SchemaError(f"migration file {path.name} is not named NNNN_name.sql, as 0001_events.sql is")
        content = path.read_bytes()
        checksum = hashlib.sha256(content).hexdigest()
        migrations.append(Migration(int(parts[1]), path.stem, checksum, content.decode()))
    for expected, migration in enumerate(migrations, start=1):
        if migration.version != expected:
            raise SchemaError(f"migration {expected:04} is missing or double: {migration.name} is in its place")
    return migrations


def compare(files: Sequence[Migration], applied: Mapping[int, AppliedMigration]) -> list[MigrationStatus]:
    """Every migration, of the files and of the database, by version."""
    newest = max(applied, default=0)
    known = [_compare_one(file, applied.get(file.version), newest) for file in files]
    versions = {file.version for file in files}
    unknown = [
        MigrationStatus(row.version, row.name, MigrationState.UNKNOWN, row.applied_at)
        for row in applied.values()
        if row.version not in versions
    ]
    return sorted(known + unknown, key=lambda status: status.version)


_ADVICE = {
    MigrationState.CHANGED: "its file was edited after that: restore it, and put the change in a new file",
    MigrationState.SKIPPED: "later ones were applied without it: restore a backup, or apply it by hand",
    MigrationState.UNKNOWN: "a newer Weir applied it: upgrade this one",
}


def refuse_unsound(statuses: Sequence[MigrationStatus]) -> None:
    """Raises SchemaError unless all are applied or pending."""
    for status in statuses:
        if advice := _ADVICE.get(status.state):
            raise SchemaError(f"migration {status.name} is {status.state} in this database: {advice}")


def _compare_one(file: Migration, row: AppliedMigration | None, newest: int) -> MigrationStatus:
    if row is None:
        state = MigrationState.PENDING if file.version > newest else MigrationState.SKIPPED
        return MigrationStatus(file.version, file.name, state, None)
    same = (row.name, row.checksum) == (file.name, file.checksum)
    state = MigrationState.APPLIED if same else MigrationState.CHANGED
    return MigrationStatus(file.version, file.name, state, row.applied_at)
