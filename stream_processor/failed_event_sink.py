"""The dead stream's sink: events that were given up, kept where an operator finds them. It takes anything."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import msgspec
from psycopg import Connection
from psycopg.types.json import Jsonb

from shared.errors import DataError
from shared.failed_events import NO_RETRIES, RETRIED, SAME_KIND_LIMIT, STOPPED_STEP, Reason, RetryPolicy, next_step
from shared.sql_files import load_sql
from stream_processor.entries import Failure, Failures, Prepared, StreamEntry
from stream_processor.failures import blob_of, storable, unreadable_entry
from stream_processor.isolation import Places, store_halves
from stream_processor.rollups import RollupAdditions

_decoder = msgspec.msgpack.Decoder(list[Failure])
Rows = Sequence[tuple[str, Failure]]
"""Failed events, each with the id of the dead stream's entry that brings it."""


class FailedEventSink:
    """Stores failed events. Text that PostgreSQL cannot hold is replaced, the original bytes are kept as bytea.

    An event that was stored meanwhile, sent again by its producer, is not written: no event is stored and failed.
    """

    def __init__(self, retry: RetryPolicy = NO_RETRIES) -> None:
        self._retry = asdict(retry)

    def prepare(self, entries: Sequence[StreamEntry]) -> Prepared:
        rows: list[tuple[str, Failure]] = []
        for entry in entries:
            try:
                failures = _decoder.decode(blob_of(entry))
            except (DataError, msgspec.DecodeError, UnicodeError, RecursionError) as error:
                failures = [unreadable_entry(entry, error)]
            rows += [(entry.entry_id, storable(failure)) for failure in failures]
        rows.sort(key=lambda row: (row[1].client_id, row[1].event_id or ""))  # key order: no deadlock
        return Prepared(entries, rows)

    def make_room(self, prepared: Prepared) -> None:
        """Nothing: the table has no partitions."""

    def write(
        self, connection: Connection[Any], prepared: Prepared, fresh: frozenset[str], *, isolate: bool
    ) -> Failures:
        """Write all; what PostgreSQL refuses in spite of all is written as bytes, so nothing is ever returned."""
        rows = _not_written_before(connection, [row for row in prepared.rows if row[0] in fresh])
        additions = RollupAdditions()

        def store(places: Places) -> None:
            for place in places:
                self._store(connection, rows[place][1], additions)

        def keep_bytes(place: int, error: Exception) -> None:
            self._store(connection, _bare(rows[place][1], error), additions)

        if isolate:
            store_halves(connection, range(len(rows)), store, keep_bytes)
        else:
            store(range(len(rows)))
        additions.write(connection)
        return {}

    def _store(self, connection: Connection[Any], failure: Failure, additions: RollupAdditions) -> None:
        cursor = connection.execute(load_sql("stream_processor", "upsert_failed_event"), self._values(failure))
        if cursor.rowcount == 0 and not failure.replayed:
            _count_as_duplicate(additions, failure)

    def _values(self, failure: Failure) -> dict[str, Any]:
        return {
            **msgspec.structs.asdict(failure),
            **self._retry,
            "origin": Jsonb(failure.origin),
            "next_step": next_step(failure.reason),
            "stopped_step": STOPPED_STEP,
            "same_kind_limit": SAME_KIND_LIMIT,
            "retried": failure.reason in RETRIED and failure.event_id is not None,
        }


def _not_written_before(connection: Connection[Any], rows: Rows) -> Rows:
    """Without the failures of entries whose failures were all written by another entry of the dead stream."""
    brought_by: dict[tuple[str, str, int], str] = {}
    for entry_id, failure in rows:
        if failure.entry_id:
            brought_by.setdefault(_origin(failure), entry_id)
    before = _paid_before(connection, sorted(brought_by))
    return [
        (entry_id, failure)
        for entry_id, failure in rows
        if not failure.entry_id or (_origin(failure) not in before and brought_by[_origin(failure)] == entry_id)
    ]


def _paid_before(
    connection: Connection[Any], origins: Sequence[tuple[str, str, int]]
) -> frozenset[tuple[str, str, int]]:
    if not origins:
        return frozenset()
    streams, entry_ids, crcs = zip(*origins, strict=True)
    cursor = connection.execute(
        load_sql("stream_processor", "pay_failures"),
        {"streams": list(streams), "entry_ids": list(entry_ids), "crcs": list(crcs)},
    )
    places: Iterable[tuple[int]] = cursor.fetchall()
    return frozenset(origins[place - 1] for (place,) in places)


def _origin(failure: Failure) -> tuple[str, str, int]:
    return failure.stream, failure.entry_id, failure.entry_crc


def _bare(failure: Failure, error: Exception) -> Failure:
    """The last resort: all that is known of a failed event as the bytes of one of no client."""
    return Failure(
        client_id="",
        event_id=None,
        event_type=None,
        occurred_us=None,
        received_us=None,
        payload=msgspec.msgpack.encode(failure),
        reason=Reason.UNREADABLE_ENTRY,
        sqlstate=getattr(error, "sqlstate", None),
        detail=f"PostgreSQL took this failed event only as bytes (msgpack): {type(error).__name__}",
        attempts=1,
        failed_us=time.time_ns() // 1000,
    )


def _count_as_duplicate(additions: RollupAdditions, failure: Failure) -> None:
    """What the event sink counted as failed turned out to be a repeat of a stored event."""
    counts = additions.intake_of(failure.client_id, failure.received_us or failure.failed_us)
    counts.failed -= 1
    counts.duplicates += 1
