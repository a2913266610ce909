"""A file of events, one JSON object a line, plain or gzip."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from shared.errors import UsageError

_GZIP_MAGIC = b"\x1f\x8b"


class _Line(msgspec.Struct):
    event_id: str
    event_type: str
    payload: msgspec.Raw
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class FileEvents:
    """The events of a file, in order."""

    ids: list[str]
    tails: list[bytes]
    """What follows each id, the payload byte for byte as in the file."""
    earliest: datetime | None
    """The first `occurred_at`; None when no event has one."""


def read_events(path: Path) -> FileEvents:
    """Every event of the file; empty lines are passed over. The whole file is held in memory.

    Raises UsageError naming the line that is no event: nothing is sent of a file that has one.
    """
    ids, tails, times = [], [], []
    for number, line in enumerate(_content(path).splitlines(), start=1):
        if not line.strip():
            continue
        event = _decode(path, number, line)
        ids.append(event.event_id)
        tails.append(_tail(event))
        if event.occurred_at is not None:
            times.append(event.occurred_at)
    if not ids:
        raise UsageError(f"{path} holds no event: it needs one JSON object a line")
    return FileEvents(ids, tails, min(times, default=None))


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(_GZIP_MAGIC) else content
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _decode(path: Path, number: int, line: bytes) -> _Line:
    try:
        event = msgspec.json.decode(line, type=_Line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}, line {number} is no event: {error}") from None
    if event.occurred_at is not None and event.occurred_at.tzinfo is None:
        raise UsageError(f"{path}, line {number} is no event: occurred_at has no offset, as Z or +02:00 is")
    if msgspec.json.encode(event.event_id) != b'"%b"' % event.event_id.encode():
        raise UsageError(f"{path}, line {number}: event_id holds a quote, a backslash or a control character")
    return event


def _tail(event: _Line) -> bytes:
    when = b"" if event.occurred_at is None else b',"occurred_at":"%b"' % event.occurred_at.isoformat().encode()
    return b'","event_type":%b%b,"payload":%b}' % (msgspec.json.encode(event.event_type), when, bytes(event.payload))
