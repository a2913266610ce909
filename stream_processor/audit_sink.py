"""The audit stream's sink: one row for every answered call."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

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
    "at, service, instance, client_id, key_id, method, endpoint, path, query, status, error, duration_us, bytes_in, "
    "address, user_agent, request_id, bytes_out, calls"
)
_COPY = f"COPY audit_logs ({_COLUMNS}) FROM STDIN (FORMAT BINARY)"
_COLUMN_COUNT = binary.column_count(18)


@dataclass(slots=True)
class AuditRows:
    """COPY rows, and beside each its entry and record."""

    rows: list[bytes] = field(default_factory=list)
    records: list[tuple[str, AuditRecord]] = field(default_factory=list)


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
            rows.records += [(entry.entry_id, record) for record in records]
        return prepared

    def make_room(self, prepared: Prepared) -> None:
        rows: AuditRows = prepared.rows
        self._partitions.ensure("audit_logs", {record.at_us // DAY_US for _, record in rows.records})

    def write(
        self, connection: Connection[Any], prepared: Prepared, fresh: frozenset[str], *, isolate: bool
    ) -> Failures:
        rows: AuditRows = prepared.rows
        places = [place for place, (entry_id, _) in enumerate(rows.records) if entry_id in fresh]
        failures: Failures = {}

        def store(places: Places) -> None:
            self._partitions.ensure("audit_logs", {rows.records[place][1].at_us // DAY_US for place in places})
            with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
                copy.write(b"".join((binary.HEADER, *(rows.rows[place] for place in places), binary.TRAILER)))

        def give_up(place: int, error: Exception) -> None:
            entry_id, record = rows.records[place]
            failures.setdefault(entry_id, []).append(_failure(record, error))

        if places:
            if isolate:
                store_halves(connection, places, store, give_up)
            else:
                store(places)
        return failures


def _row(record: AuditRecord) -> bytes:
    text, optional = binary.text, binary.text_or_null
    return b"".join(
        (
            _COLUMN_COUNT,
            binary.timestamptz(record.at_us),
            text(record.service),
            text(record.instance),
            optional(record.client_id),
            optional(record.key_id),
            text(record.method),
            text(record.endpoint),
            text(record.path),
            text(record.query),
            binary.int2(record.status),
            optional(record.error or None),
            binary.int8(record.duration_us),
            binary.int8(record.bytes_in),
            text(record.address),
            text(record.user_agent),
            text(record.request_id),
            binary.NULL if record.bytes_out is None else binary.int8(record.bytes_out),
            binary.int4(record.calls),
        )
    )


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
