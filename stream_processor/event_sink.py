"""The event stream's sink: ids, events and rollups in one transaction."""

from collections.abc import Sequence
from typing import Any

from psycopg import Connection

from shared.errors import DataError
from shared.sql_files import load_sql
from shared.stream_entry import Block, EventFrame, decode_blocks
from stream_processor import copy_binary as binary
from stream_processor.binary_array import encoded_int4_array, text_array, timestamptz_array
from stream_processor.crash_points import CrashPoint, reach
from stream_processor.enrich import Enricher
from stream_processor.entries import Failure, Failures, Prepared, StreamEntry
from stream_processor.event_rows import COLUMNS, EventRows, add_block, repeated_places
from stream_processor.failures import BAD_DATA, blob_of, failed_event, unreadable_entry
from stream_processor.isolation import Places, store_halves
from stream_processor.partitions import DayPartitions
from stream_processor.recovered_events import remove_recovered
from stream_processor.rollups import RollupAdditions

_COPY = f"COPY events ({COLUMNS}) FROM STDIN (FORMAT BINARY)"


class EventSink:
    """Stores events. ``prepare`` runs in the reader's thread and ``write`` in the writer's; they share no state."""

    def __init__(self, enrichers: Sequence[Enricher], partitions: DayPartitions) -> None:
        self._enrichers = enrichers
        self._partitions = partitions
        self._expects_known = False  # of writers alone: whether the ids of the batch before were not all new

    def prepare(self, entries: Sequence[StreamEntry]) -> Prepared:
        prepared = Prepared(entries, EventRows())
        for entry in entries:
            try:
                blocks = decode_blocks(blob_of(entry))
            except DataError as error:
                prepared.failures[entry.entry_id] = [unreadable_entry(entry, error)]
                continue
            for block in blocks:
                self._add(prepared, entry, block)
        return prepared

    def make_room(self, prepared: Prepared) -> None:
        if prepared.rows is not None and prepared.rows.rows:
            self._partitions.ensure("events", prepared.rows.days)

    def write(
        self, connection: Connection[Any], prepared: Prepared, fresh: frozenset[str], *, isolate: bool
    ) -> Failures:
        rows: EventRows = prepared.rows
        additions, failures = RollupAdditions(), Failures()
        if not prepared.whole or len(fresh) < len(prepared.entries):
            rows = rows.only([place for place, event in enumerate(rows.events) if event[0] in fresh])
        if isolate:
            self._write_isolating(connection, rows, additions, failures)
        else:
            self._store(connection, rows, additions)
        for entry_id, found in [*failures.items(), *prepared.failures.items()]:
            if entry_id in fresh:
                count_failed(additions, found)
        additions.write(connection)
        prepared.additions = additions
        return failures

    def write_event(
        self, connection: Connection[Any], entry: StreamEntry, block: Block, additions: RollupAdditions
    ) -> list[Failure]:
        """Prepare and write the one event of a block, in savepoints; the failure, if it cannot be stored.

        What it adds to the rollups, but for a failure, is added to ``additions``.
        """
        prepared, failures = Prepared([entry], EventRows()), Failures()
        self._add(prepared, entry, block)
        self._write_isolating(connection, prepared.rows, additions, failures)
        return [failure for found in (failures, prepared.failures) for failure in found.get(entry.entry_id, [])]

    def _add(self, prepared: Prepared, entry: StreamEntry, block: Block) -> None:
        """Add a block's rows; when one of its events cannot be built, the events one by one."""
        rows: EventRows = prepared.rows
        before = len(rows.rows)
        try:
            add_block(rows, entry.entry_id, block, self._enrichers)
        except BAD_DATA as error:
            rows.cut(before)
            if len(block.events) == 1:
                failure = failed_event(block, block.events[0], error, entry.deliveries)
                prepared.failures.setdefault(entry.entry_id, []).append(failure)
                return
            for frame in block.events:
                self._add(prepared, entry, block.with_events([frame]))

    def _write_isolating(
        self, connection: Connection[Any], rows: EventRows, additions: RollupAdditions, failures: Failures
    ) -> None:
        def store(places: Places) -> None:
            self._store(connection, rows.only(places), additions)

        def give_up(place: int, error: Exception) -> None:
            entry_id, block, frame = rows.events[place]
            failures.setdefault(entry_id, []).append(failed_event(block, frame, error, 1))

        store_halves(connection, rows.key_order(), store, give_up)

    def _store(self, connection: Connection[Any], rows: EventRows, additions: RollupAdditions) -> None:
        """Insert the new ids, copy their events, count; a repeat is counted as a duplicate and left out."""
        if not rows.rows:
            return
        self._partitions.ensure("events", rows.days)
        repeated = repeated_places(rows)
        new = rows.without(repeated) if repeated else rows
        known, any_failed = _insert_ids(connection, new, expect_known=self._expects_known)
        self._expects_known = bool(known)
        duplicates = [rows.events[place] for place in repeated] + [new.events[place] for place in known]
        if known:
            new = new.without(known)
        if new.rows:
            with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
                copy.write(b"".join((binary.HEADER, *new.rows, binary.TRAILER)))
                reach(CrashPoint.IN_COPY)
        if any_failed or rows.replayed:
            remove_recovered(connection, additions, rows, new)
        repeats = [event for event in duplicates if not event[1].replayed]  # a replay is no acceptance of its own
        if repeats:
            _count_duplicates(connection, additions, repeats)
        additions.add_stored(new.events)


def count_failed(additions: RollupAdditions, failures: Sequence[Failure]) -> None:
    """Count what is given up; a replay that failed again was counted when it failed first."""
    for failure in failures:
        if not failure.replayed:
            additions.intake_of(failure.client_id, failure.received_us or failure.failed_us).failed += 1


def _insert_ids(connection: Connection[Any], rows: EventRows, *, expect_known: bool) -> tuple[list[int], bool]:
    """Insert the ids of rows without repeats; the places of those that were there before, and whether any event failed.

    Where known ids are not expected and there are some, it costs up to twice as much.
    """
    order = rows.key_order()
    clients, event_ids, times, crcs = zip(*map(rows.key_values.__getitem__, order), strict=True)
    columns = text_array(clients), text_array(event_ids), timestamptz_array(times), encoded_int4_array(crcs)
    cursor = connection.execute(load_sql("stream_processor", "insert_ids"), (*columns, expect_known))
    for known, any_failed in cursor:
        return [order[place - 1] for place in known or ()], any_failed
    raise RuntimeError("store_event_ids returned no row")


def _count_duplicates(
    connection: Connection[Any], additions: RollupAdditions, duplicates: list[tuple[str, Block, EventFrame]]
) -> None:
    """Count repeats, and those whose payload is not the first one's; a statement of its own sees them all."""
    cursor = connection.execute(
        load_sql("stream_processor", "find_conflicts"),
        {
            "client_ids": [block.client_id for _, block, _ in duplicates],
            "event_ids": [frame.event_id for _, _, frame in duplicates],
            "crcs": [binary.signed(frame.payload_crc) for _, _, frame in duplicates],
        },
    )
    conflicting = {place for (place,) in cursor.fetchall()}
    for place, (_, block, _) in enumerate(duplicates, start=1):
        counts = additions.intake_of(block.client_id, block.received_us)
        counts.duplicates += 1
        counts.conflicting += place in conflicting
