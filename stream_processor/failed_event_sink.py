"""The dead stream's sink: events that were given up, kept where an operator finds them. It takes anything."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from psycopg import Connection

from shared.errors import DataError
from shared.sql_files import load_sql
from stream_processor.entries import Failure, Failures, Prepared, StreamEntry
from stream_processor.failures import blob_of, storable, unreadable_entry

NEXT_STEPS: Final = {
    "invalid_data": "PostgreSQL cannot take this event: mend it at its producer and send it again under a new id",
    "enricher_failed": "mend the enricher named in the detail, then replay",
    "unreadable_entry": "see who writes to Weir's streams; the bytes are kept here as they were found",
}
_decoder = msgspec.msgpack.Decoder(list[Failure])


class FailedEventSink:
    """Stores failed events. Text that PostgreSQL cannot hold is replaced, the original bytes are kept as bytea."""

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

    def write(
        self, connection: Connection[Any], prepared: Prepared, fresh: frozenset[str], *, isolate: bool
    ) -> Failures:
        del isolate  # nothing here can be bad data
        with connection.cursor() as cursor:
            for entry_id, failure in prepared.rows:
                if entry_id in fresh:
                    cursor.execute(load_sql("stream_processor", "upsert_failed_event"), _values(failure))
        return {}


def _values(failure: Failure) -> dict[str, Any]:
    next_step = NEXT_STEPS.get(failure.reason, "look at the detail, mend the cause, then replay")
    return {**msgspec.structs.asdict(failure), "next_step": next_step}
