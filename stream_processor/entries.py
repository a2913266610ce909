"""Entries as the processor holds them, and what a sink makes of them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from zlib import crc32

import msgspec
from psycopg import Connection

from shared.redis_keys import StreamKeys
from stream_processor.copy_binary import signed
from stream_processor.rollups import RollupAdditions


@dataclass(frozen=True, slots=True)
class StreamEntry:
    """An entry as Redis delivered it."""

    entry_id: str
    events: int
    """How many events (or audit records, or failed events) it holds; 0 for an entry that another hand has put there."""
    blob: bytes | None
    """These, packed; None when the entry has not the fields of ours."""
    deliveries: int = 1
    """How often it was delivered, as far as this processor knows."""

    @property
    def content_crc(self) -> int:
        """CRC-32 of what it holds, as PostgreSQL's int4."""
        return signed(crc32(self.blob or b""))


class Failure(msgspec.Struct, array_like=True, frozen=True):
    """An event that is given up; it travels in this form through the dead stream to ``failed_events``."""

    client_id: str
    event_id: str | None
    event_type: str | None
    occurred_us: int | None
    received_us: int | None
    payload: bytes
    reason: str
    """A stable class, of ``shared.failed_events.Reason``."""
    sqlstate: str | None
    detail: str
    attempts: int
    failed_us: int
    replayed: bool = False
    """It failed before: its acceptance was counted as failed then."""
    origin: dict[str, str] = {}
    """The request that brought it; see ``failed_events.origin``."""
    stream: str = ""
    entry_id: str = ""
    entry_crc: int = 0
    """The entry that brought it, with whose fence it is noted; empty for those of releases that did not say it."""


Failures = dict[str, list[Failure]]
"""By the id of the entry that brought them."""


@dataclass(slots=True)
class Prepared:
    """A batch, decoded and ready to be written: made by a sink's ``prepare``, understood by its ``write``."""

    entries: Sequence[StreamEntry]
    rows: Any
    failures: Failures = field(default_factory=dict)
    """What could not even be decoded."""
    additions: RollupAdditions | None = None
    """What its last write has added to the rollups."""
    suspect: bool = False
    """One entry that may have killed processors: not prepared, and to be tried (``crash_trial``)."""
    since: float = field(default_factory=time.monotonic)
    """When it came into hand (monotonic)."""
    whole: bool = True
    """Whether the rows are of these entries alone; else those of others are to be left out."""

    def portion(self, entries: Sequence[StreamEntry]) -> "Prepared":
        """The same batch, cut down to some of its entries."""
        return self if len(entries) == len(self.entries) else replace(self, entries=entries, whole=False)


class Sink(Protocol):
    """Where one kind of stream goes. One loop serves all three."""

    def prepare(self, entries: Sequence[StreamEntry]) -> Prepared:
        """Decode and build rows: CPU only, no I/O; raises nothing for bad input."""

    def make_room(self, prepared: Prepared) -> None:
        """Make the partitions that the rows need, before any transaction is begun. Raises psycopg.Error."""

    def write(
        self, connection: Connection[Any], prepared: Prepared, fresh: frozenset[str], *, isolate: bool
    ) -> Failures:
        """Write the rows of the entries whose ids are ``fresh``, inside the open transaction.

        With ``isolate``, events that PostgreSQL cannot take are left out and returned; else the first one raises.
        Raises psycopg.Error, UnicodeError, OverflowError.
        """


@dataclass(frozen=True, slots=True)
class Source:
    """A stream, its sink, and where its failed events go."""

    keys: StreamKeys
    dead: StreamKeys
    parked: str
    sink: Sink
