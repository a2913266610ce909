"""An audit record: one answered call, on its way through the audit stream to ``audit_logs``."""

import time
from functools import lru_cache
from typing import Final

import msgspec

from shared.errors import DataError

VERSION: Final = 1


class AuditRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What is kept of one call; never a payload, never a secret.

    Fields are only ever added behind the last one: a reader of an older release passes over them, and an older record
    has their defaults.
    """

    version: int
    at_us: int
    """When the request arrived: microseconds since 1970 in UTC."""
    service: str
    instance: str
    client_id: str | None
    key_id: str | None
    method: str
    endpoint: str
    """The route's template, or ``unmatched``."""
    path: str
    query: str
    duration_us: int
    """From arrival to the writing of this record: what the caller waited for, but for the record itself and what comes
    after it: a streamed answer's body, a WebSocket's life, a ``Prefer: wait``."""
    bytes_in: int
    """Of the body, decompressed, as far as it was read."""
    address: str
    user_agent: str
    request_id: str
    status: int
    """101 is a WebSocket that was opened."""
    error: str
    """The problem type's last part, or empty."""
    bytes_out: int | None = None
    """Of the answer's body; None where it is not known yet: a streamed answer, and every ingest call, whose answer is
    made of what writing this record returns."""
    calls: int = 1
    """How many calls this record stands for: see ``shared.strangers``."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[AuditRecord])
_RECORD_OF_17 = b"\xdc\x00\x11"  # an array of 17: the fifteen encoded here, then status and error
_RECORD_OF_19 = b"\xdc\x00\x13"  # the same with what else is known


def encode_record_head(
    at_us: int,
    service: str,
    instance: str,
    client_id: str | None,
    key_id: str | None,
    method: str,
    endpoint: str,
    path: str,
    query: str,
    bytes_in: int,
    address: str,
    user_agent: str,
    request_id: str,
) -> bytes:
    """A record up to its status and error, which the atomic function adds when it knows them."""
    duration_us = max(time.time_ns() // 1000 - at_us, 0)
    head = (VERSION, at_us, service, instance, client_id, key_id, method, endpoint, path, query, duration_us)
    return _RECORD_OF_17 + _encoder.encode((*head, bytes_in, address, user_agent, request_id))[1:]


def encode_record(head: bytes, status: int, error: str) -> bytes:
    """A whole record."""
    return head + _outcome(status, error)


@lru_cache(maxsize=256)
def _outcome(status: int, error: str) -> bytes:
    return _encoder.encode(status) + _encoder.encode(error)


def encode_full_record(head: bytes, status: int, error: str, bytes_out: int | None, calls: int = 1) -> bytes:
    """A whole record with what else is known."""
    tail = _encoder.encode((status, error, bytes_out, calls))[1:]
    return _RECORD_OF_19 + head[len(_RECORD_OF_17) :] + tail


def decode_records(blob: bytes) -> list[AuditRecord]:
    """The records of an audit entry. Raises DataError when the bytes are not records."""
    try:
        return _decoder.decode(blob)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise DataError("unreadable_entry", f"the entry is not a list of audit records: {error}") from error
