"""Whether a secret stands in the open: in a log, in any table, in what Redis or PostgreSQL keep on disk."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from tests.faults.scene import Scene

_CHUNK_BYTES = 1 << 20
_OVERLAP_BYTES = 128
_TABLES = """
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname = 'public' ORDER BY 1
"""


def find_secrets(scene: Scene) -> list[str]:
    """Where one was found; never the secret itself. The producers' own keys count as secrets too."""
    secrets = [secret.encode() for secret in scene.log.secrets]
    found = [str(path.relative_to(scene.folder)) for path in _files(scene) if _holds(_read(path), secrets)]
    return found + [f"table {table}" for table, rows in _dumps(scene) if _holds(rows, secrets)]


def _files(scene: Scene) -> Iterator[Path]:
    """All logs, and Redis's append-only files; PostgreSQL's data is seen as tables."""
    yield from scene.folder.glob("*.log")
    yield from (path for path in scene.redis.directory.rglob("*") if path.is_file() and path.name != "password")
    yield from scene.postgres.directory.glob("*.log")
    yield from scene.postgres.directory.rglob("log/*.log")


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _dumps(scene: Scene) -> Iterator[tuple[str, Iterator[bytes]]]:
    with scene.database() as connection:
        for (table,) in connection.execute(_TABLES).fetchall():
            with connection.cursor() as cursor, cursor.copy(f"COPY {table} TO STDOUT".encode()) as copy:
                yield table, (bytes(row) for row in copy)


def _holds(chunks: Iterator[bytes], secrets: list[bytes]) -> bool:
    """Reads to the end, as a COPY must be."""
    holds, tail = False, b""
    gathered: list[bytes] = []
    size = 0
    for chunk in chain(chunks, (b"",)):
        gathered.append(chunk)
        size += len(chunk)
        if size >= _CHUNK_BYTES or not chunk:
            text = tail + b"".join(gathered)
            holds = holds or any(secret in text for secret in secrets)
            tail, gathered, size = text[-_OVERLAP_BYTES:], [], 0
    return holds
