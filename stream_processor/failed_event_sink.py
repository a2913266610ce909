"""The dead stream's sink: events that were given up, kept where an operator finds them. It takes anything."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import msgspec
from psycopg import Connection
from psycopg.types.json import Jsonb

from shared.errors import DataError
from shared.failed_events import NO_RETRIES, RETRIED, SAME_KIND_LIMIT, STOPPED_STEP, RetryPolicy, next_step
from shared.sql_files import load_sql
from stream_processor.entries import Failure, Failures, Prepared, StreamEntry
from stream_processor.failures import blob_of, storable, unreadable_entry
from stream_processor.rollups import RollupAdditions

_decoder = msgspec.msgpack.Decoder(list[Failure])


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
            except (DataError, msgspec.DecodeError, UnicodeError) as error:
                failures = [unreadable_entry(entry, error)]
            rows += [(entry.entry_id, storable(failure)) for failure in failures]
        rows.sort(key=lambda row: (row[1].client_id, row[1].event_id or ""))  # key order: no deadlock
        return Prepared(entries, rows)

    def make_room(self, prepared: Prepared) -> None:
        """Nothing: the table has no partitions."""

    def write(
        self, connection: Connection[Any], prepared: Prepared, fresh: frozenset[str], *, isolate: bool
    ) -> Failures:
        del isolate  # nothing here can be bad data
        additions = RollupAdditions()
        with connection.cursor() as cursor:
            for entry_id, failure in prepared.rows:
                if entry_id not in fresh:
                    continue
                cursor.execute(load_sql("stream_processor", "upsert_failed_event"), self._values(failure))
                if cursor.rowcount == 0 and not failure.replayed:
                    _count_as_duplicate(additions, failure)
        additions.write(connection)
        return {}

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


def _count_as_duplicate(additions: RollupAdditions, failure: Failure) -> None:
    """What the event sink counted as failed turned out to be a repeat of a stored event."""
    counts = additions.intake_of(failure.client_id, failure.received_us or failure.failed_us)
    counts.failed -= 1
    counts.duplicates += 1
