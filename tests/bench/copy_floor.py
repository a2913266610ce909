"""The floor of batches: the same rows by `psql \\copy` into the same tables, with the same uniqueness."""

import os
import shutil
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from deploy.embedded import binaries
from deploy.migrations import migrate
from tests.bench.bench_events import copy_rows

_DATABASE = "weir_floor"
_HERE = Path(__file__).parent


class CopyFloor:
    """A database beside Weir's, on the same server with the same settings, and the rows ready as files."""

    def __init__(self, server_url: str, folder: Path, rows: int, batch: int) -> None:
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {_DATABASE}")
        self._url = make_conninfo(server_url, dbname=_DATABASE)
        self._rows = rows
        migrate(self._url)
        self._script = _write_script(folder / "floor", rows, batch)

    def rate(self) -> float:
        """Rows a second into empty tables, from the start of psql to its end. Blocking."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("TRUNCATE events, event_ids")
            connection.execute("SELECT ensure_day_partition('events', %s)", [datetime.now(UTC).date()])
            connection.execute("CHECKPOINT")
            seconds = self._load()
            found = connection.execute("SELECT count(*) FROM events").fetchone()
        assert found == (self._rows,), f"the floor stored {found} of {self._rows} rows"
        return self._rows / seconds

    def _load(self) -> float:
        target = {name: str(value) for name, value in conninfo_to_dict(self._url).items()}
        password = {"PGPASSWORD": target.pop("password")}
        arguments = [_psql(), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(self._script), make_conninfo(**target)]
        began = time.perf_counter()
        subprocess.run(arguments, check=True, env={**os.environ, **password}, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began


def _write_script(folder: Path, rows: int, batch: int) -> Path:
    """A script that loads one file a transaction, as many rows as a processor stores in one."""
    folder.mkdir()
    insert = (_HERE / "floor_insert.sql").read_text()
    parts = [(_HERE / "floor_staging.sql").read_text()]
    for first in range(0, rows, batch):
        rows_file = folder / f"{first:09}.tsv"
        rows_file.write_text("".join(copy_rows(first, min(batch, rows - first))))
        parts.append(f"BEGIN;\n\\copy staging FROM '{rows_file}'\n{insert}\nCOMMIT;\n")
    script = folder / "load.sql"
    script.write_text("\n".join(parts))
    return script


def _psql() -> str:
    bundled = binaries.postgres_bin_dir() / "psql"
    found = str(bundled) if bundled.is_file() else shutil.which("psql")
    assert found, "no psql: install postgresql-client"
    return found
