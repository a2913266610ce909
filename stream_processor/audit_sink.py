"""The audit stream's sink: one row for every answered call."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from struct import Struct
from typing import Any, Final

import msgspec
from psycopg import Connection

from shared.audit_record import AuditRecord, decode_records
from shared.failed_events import Reason
from stream_processor import copy_binary as binary
from stream_processor.entries import Failure, Failures, Prepared, StreamEntry
from stream_processor.event_rows import DAY_US
from stream_processor.failures import BAD_DATA, blob_of, storable, unreadable_entry
from stream_processor.isolation import Places, store_halves
from stream_processor.partitions import DayPartitions

_COLUMNS = (
    "service, instance, client_id, key_id, method, endpoint, path, query, address, user_agent, error, "
    "at, status, duration_us, bytes_in, bytes_out, calls, request_id"
)
_COPY = f"COPY audit_logs ({_COLUMNS}) FROM STDIN (FORMAT BINARY)"
_COLUMN_COUNT = binary.column_count(18)
_numbers = Struct(">iqihiqiqiqiii").pack
"""at, status, duration_us, bytes_in, bytes_out, calls, and the length of request_id."""
_numbers_without_bytes_out = Struct(">iqihiqiqiiii").pack
_CALLERS: Final = 1024
_MAX_REMEMBERED: Final = 2048
"""Characters of path, query and user agent, which anybody chooses; the services keep less of each call."""


@dataclass(slots=True)
class AuditRows:
    """COPY rows, and beside each its record, and the entry that brought it."""

    rows: list[bytes] = field(default_factory=list)
    records: list[AuditRecord] = field(default_factory=list)
    entry_ids: list[str] = field(default_factory=list)
    days: set[int] = field(default_factory=set)
    """Days whose partitions are needed, counted from 1970."""


class AuditSink:
    """Stores audit records. The fence makes a redelivered entry a no-op, so a call stands in the table once."""

    def __init__(self, partitions: DayPartitions) -> None:
        self._partitions = partitions

    def prepare(self, entries: Sequence[StreamEntry]) -> Prepared:
        rows = AuditRows()
        prepared = Prepared(entries, rows)
        for entry in entries:
            try:
                records = decode_records(blob_of(entry))
                rows.rows += [_row(record) for record in records]
            except BAD_DATA as error:
                prepared.failures[entry.entry_id] = [unreadable_entry(entry, error)]
                continue
            rows.records += records
            rows.entry_ids += [entry.entry_id] * len(records)
        rows.days = {record.at_us // DAY_US for record in rows.records}
        return prepared

    def make_room(self, prepared: Prepared) -> None:
        rows: AuditRows = prepared.rows
        self._partitions.ensure("audit_logs", rows.days)

    def write(
        self, connection: Connection[Any], prepared: Prepared, fresh: frozenset[str], *, isolate: bool
    ) -> Failures:
        rows: AuditRows = prepared.rows
        places: Places = range(len(rows.rows))
        if not prepared.whole or len(fresh) < len(prepared.entries):
            places = [place for place, entry_id in enumerate(rows.entry_ids) if entry_id in fresh]
        failures: Failures = {}

        def store(places: Places) -> None:
            if isolate:  # a day that cannot be made is the fault of its records alone
                self._partitions.ensure("audit_logs", {rows.records[place].at_us // DAY_US for place in places})
            with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
                copy.write(b"".join((binary.HEADER, *map(rows.rows.__getitem__, places), binary.TRAILER)))

        def give_up(place: int, error: Exception) -> None:
            failures.setdefault(rows.entry_ids[place], []).append(_failure(rows.records[place], error))

        if places:
            if isolate:
                store_halves(connection, places, store, give_up)
            else:
                store(places)
        return failures


def _row(record: AuditRecord) -> bytes:
    """Columns that say who called what come again and again; the other ones are packed in one step."""
    known = len(record.path) + len(record.query) + len(record.user_agent) <= _MAX_REMEMBERED
    caller = (_caller if known else _caller.__wrapped__)(
        record.service, record.instance, record.client_id, record.key_id, record.method, record.endpoint, record.path,
        record.query, record.address, record.user_agent, record.error,
    )  # fmt: skip
    request_id = record.request_id.encode()
    times = 8, record.at_us - binary.PG_EPOCH_US, 2, record.status, 8, record.duration_us, 8, record.bytes_in
    if record.bytes_out is None:
        numbers = _numbers_without_bytes_out(*times, -1, 4, record.calls, len(request_id))
    else:
        numbers = _numbers(*times, 8, record.bytes_out, 4, record.calls, len(request_id))
    return caller + numbers + request_id


@lru_cache(maxsize=_CALLERS)
def _caller(
    service: str,
    instance: str,
    client_id: str | None,
    key_id: str | None,
    method: str,
    endpoint: str,
    path: str,
    query: str,
    address: str,
    user_agent: str,
    error: str,
) -> bytes:
    """A row up to its numbers."""
    text, optional = binary.text, binary.text_or_null
    return b"".join(
        (
            _COLUMN_COUNT, text(service), text(instance), optional(client_id), optional(key_id), text(method),
            text(endpoint), text(path), text(query), text(address), text(user_agent), optional(error or None),
        )
    )  # fmt: skip


def _failure(record: AuditRecord, error: Exception) -> Failure:
    failure = Failure(
        client_id=record.client_id or "",
        event_id=None,
        event_type="weir.audit",
        occurred_us=record.at_us,
        received_us=record.at_us,
        payload=msgspec.json.encode(record),
        reason=Reason.INVALID_DATA,
        sqlstate=getattr(error, "sqlstate", None),
        detail=str(error).partition("\n")[0],
        attempts=1,
        failed_us=time.time_ns() // 1000,
    )
    return storable(failure)
