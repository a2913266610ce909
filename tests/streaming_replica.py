"""A PostgreSQL primary and a streaming replica of it, made by pg_basebackup, as processes of this machine."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from deploy.embedded import binaries
from deploy.embedded.postgres_cluster import DATA, FOLDER
from deploy.embedded.postgres_server import EmbeddedPostgres
from deploy.migrations import migrate
from tests.waiting import eventually

_PASSWORD = "password.postgres"
_SMALL = {"shared_buffers": "32MB", "max_wal_size": "256MB", "min_wal_size": "64MB"}
_BASE_BACKUP_SECONDS = 120


@dataclass(frozen=True)
class ReplicatedPostgres:
    """Both run; the primary has the schema, and the replica is a copy that follows."""

    primary: EmbeddedPostgres
    replica: EmbeddedPostgres

    def pause_replay(self) -> None:
        """From here on the replica receives, and shows nothing new."""
        self._on_replica("SELECT pg_wal_replay_pause()")
        eventually(lambda: self._on_replica("SELECT pg_get_wal_replay_pause_state()") == "paused")

    def resume_replay(self) -> None:
        self._on_replica("SELECT pg_wal_replay_resume()")

    def promote(self) -> None:
        """The replica becomes a primary."""
        self._on_replica("SELECT pg_promote(wait_seconds => 60)")

    def _on_replica(self, query: str) -> object:
        with psycopg.connect(self.replica.url, autocommit=True, connect_timeout=10) as connection:
            row = connection.execute(query.encode()).fetchone()
            return row and row[0]


@contextmanager
def replicated_postgres(folder: Path) -> Iterator[ReplicatedPostgres]:
    """Both, until the block ends; everything lies in ``folder``."""
    with EmbeddedPostgres(folder / "primary", extra_config=_SMALL) as primary:
        migrate(primary.url)
        _copy(primary, folder / "primary", folder / "replica")
        with EmbeddedPostgres(folder / "replica", extra_config=_SMALL) as replica:
            yield ReplicatedPostgres(primary, replica)


def _copy(primary: EmbeddedPostgres, source: Path, target: Path) -> None:
    """What an operator does on the replica's machine: pg_basebackup -R, under the user the server runs as."""
    (target / FOLDER).mkdir(mode=0o700, parents=True)
    program = binaries.postgres_bin_dir() / "pg_basebackup"
    arguments = ["-d", primary.url, "-D", str(target / FOLDER / DATA), "-R", "-X", "stream", "-c", "fast"]
    subprocess.run([program, *arguments], check=True, capture_output=True, timeout=_BASE_BACKUP_SECONDS)
    shutil.copy2(source / _PASSWORD, target / _PASSWORD)
    owner = (source / FOLDER).stat()
    for path in (target / FOLDER, *(target / FOLDER).rglob("*")):
        shutil.chown(path, owner.st_uid, owner.st_gid)
