"""Failed events: made of what could not be decoded, built or written, and always such that PostgreSQL takes them."""

import struct
import time
from datetime import UTC, datetime
from typing import Final

import msgspec
import psycopg

from shared.errors import DataError
from shared.failed_events import Reason
from shared.stream_entry import Block, EventFrame
from stream_processor.entries import Failure, StreamEntry

BAD_DATA: Final = (DataError, UnicodeError, OverflowError, struct.error)
"""What decoding an event or building its row raises when the event is at fault."""

_MAX_DETAIL: Final = 500
_MAX_TEXT: Final = 256
"""Characters of an id or type that are kept; an index row holds 2.7 kB."""
_MAX_ORIGIN: Final = 512
_ORIGIN: Final = ("gateway", "address", "user_agent", "request_id", "key_id")
_MAX_INT: Final = 2**31 - 1
_FIRST_US: Final = int(datetime.min.replace(tzinfo=UTC).timestamp()) * 1_000_000
_LAST_US: Final = int(datetime.max.replace(tzinfo=UTC, microsecond=0).timestamp()) * 1_000_000


def failed_event(block: Block, frame: EventFrame, error: Exception, attempts: int) -> Failure:
    """An event that cannot be stored, with the reason its error gives."""
    failure = Failure(
        client_id=block.client_id,
        event_id=frame.event_id,
        event_type=frame.event_type,
        occurred_us=frame.occurred_us,
        received_us=block.received_us,
        payload=frame.payload,
        reason=error.reason if isinstance(error, DataError) else Reason.INVALID_DATA,
        sqlstate=error.sqlstate if isinstance(error, psycopg.Error | DataError) else None,
        detail=_detail(error),
        attempts=attempts,
        failed_us=time.time_ns() // 1000,
        replayed=block.replayed,
        origin={name: getattr(block, name) for name in _ORIGIN},
    )
    return storable(failure)


def unreadable_entry(entry: StreamEntry, error: Exception) -> Failure:
    """A whole entry that cannot be decoded, as one failed event of no client."""
    failure = Failure(
        client_id="",
        event_id=None,
        event_type=None,
        occurred_us=None,
        received_us=int(entry.entry_id.partition("-")[0]) * 1000,
        payload=entry.blob or b"",
        reason=error.reason if isinstance(error, DataError) else Reason.UNREADABLE_ENTRY,
        sqlstate=error.sqlstate if isinstance(error, psycopg.Error) else None,
        detail=_detail(error),
        attempts=entry.deliveries,
        failed_us=time.time_ns() // 1000,
    )
    return storable(failure)


def of_entry(failure: Failure, stream: str, entry_id: str, crc: int) -> Failure:
    """The failure with the entry that brought it."""
    return msgspec.structs.replace(failure, stream=stream, entry_id=entry_id, entry_crc=crc)


def storable(failure: Failure) -> Failure:
    """The failure as PostgreSQL can hold it, whatever it says; its payload is bytes and stays as it is.

    Text that PostgreSQL refuses is replaced, and cut where it is long. An id that is too long to be one is left out:
    cut, it could be another's. So is a time outside the years 1 to 9999.
    """
    event_id = _text(failure.event_id)
    return msgspec.structs.replace(
        failure,
        client_id=_text(failure.client_id)[:_MAX_TEXT],
        event_id=None if failure.event_id is None or len(event_id) > _MAX_TEXT else event_id,
        event_type=None if failure.event_type is None else _text(failure.event_type)[:_MAX_TEXT],
        occurred_us=_time(failure.occurred_us),
        received_us=_time(failure.received_us),
        reason=_text(failure.reason)[:_MAX_TEXT],
        sqlstate=None if failure.sqlstate is None else _text(failure.sqlstate)[:_MAX_TEXT],
        detail=_text(failure.detail)[:_MAX_DETAIL],
        attempts=min(max(failure.attempts, 0), _MAX_INT),
        failed_us=_time(failure.failed_us) or time.time_ns() // 1000,
        origin={name: _text(failure.origin.get(name))[:_MAX_ORIGIN] for name in _ORIGIN} if failure.origin else {},
        stream=_text(failure.stream)[:_MAX_TEXT],
        entry_id=_text(failure.entry_id)[:_MAX_TEXT],
        entry_crc=max(min(failure.entry_crc, _MAX_INT), -_MAX_INT - 1),
    )


def _text(value: str | None) -> str:
    return (value or "").encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


def _time(microseconds: int | None) -> int | None:
    return microseconds if microseconds is not None and _FIRST_US <= microseconds <= _LAST_US else None


def blob_of(entry: StreamEntry) -> bytes:
    """The packed content of an entry. Raises DataError when the entry is not one of ours."""
    if entry.blob is None:
        raise DataError("unreadable_entry", "the entry has no field 'e': another hand has put it there")
    return entry.blob


def _detail(error: Exception) -> str:
    # the first line only: PostgreSQL's CONTEXT lines quote the input
    return str(error).partition("\n")[0][:_MAX_DETAIL]
