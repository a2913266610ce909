"""Failed events: made of what could not be decoded, built or written."""

import time
from typing import Final

import psycopg

from shared.errors import DataError
from shared.stream_entry import Block, EventFrame
from stream_processor.entries import Failure, StreamEntry

_MAX_DETAIL: Final = 500


def failed_event(block: Block, frame: EventFrame, error: Exception, attempts: int) -> Failure:
    """An event that cannot be stored, with the reason its error gives."""
    return Failure(
        client_id=block.client_id,
        event_id=frame.event_id,
        event_type=frame.event_type,
        occurred_us=frame.occurred_us,
        received_us=block.received_us,
        payload=frame.payload,
        reason=error.reason if isinstance(error, DataError) else "invalid_data",
        sqlstate=error.sqlstate if isinstance(error, psycopg.Error | DataError) else None,
        detail=_detail(error),
        attempts=attempts,
        failed_us=time.time_ns() // 1000,
    )


def unreadable_entry(entry: StreamEntry, error: Exception) -> Failure:
    """A whole entry that cannot be decoded, as one failed event of no client."""
    return Failure(
        client_id="",
        event_id=None,
        event_type=None,
        occurred_us=None,
        received_us=int(entry.entry_id.partition("-")[0]) * 1000,
        payload=entry.blob or b"",
        reason=error.reason if isinstance(error, DataError) else "unreadable_entry",
        sqlstate=error.sqlstate if isinstance(error, psycopg.Error) else None,
        detail=_detail(error),
        attempts=entry.deliveries,
        failed_us=time.time_ns() // 1000,
    )


def blob_of(entry: StreamEntry) -> bytes:
    """The packed content of an entry. Raises DataError when the entry is not one of ours."""
    if entry.blob is None:
        raise DataError("unreadable_entry", "the entry has no field 'e': another hand has put it there")
    return entry.blob


def _detail(error: Exception) -> str:
    # the first line only: PostgreSQL's CONTEXT lines quote the input
    return str(error).partition("\n")[0][:_MAX_DETAIL]
