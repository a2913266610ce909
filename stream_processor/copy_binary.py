"""PostgreSQL's binary formats, built by hand: COPY rows, arrays, and the few types Weir writes.

Source: PostgreSQL's documentation of COPY (Binary Format) and ``src/backend/utils/adt`` (the ``*_recv`` functions).
A text, jsonb or bytea value costs a length and its bytes; nothing is escaped, and payload bytes pass through untouched.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from struct import Struct
from typing import Final

HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER: Final = b"\xff\xff"
NULL: Final = b"\xff\xff\xff\xff"

_int16 = Struct(">h").pack
_int32 = Struct(">i").pack
_timestamp = Struct(">iq").pack
_int4_value = Struct(">ii").pack
_array_header = Struct(">iiiii").pack

PG_EPOCH_US: Final = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
_OIDS: Final = {"int2": 21, "int4": 23, "int8": 20, "text": 25, "timestamptz": 1184}
LENGTH: Final = _int32
"""What stands before a value's bytes."""


def column_count(columns: int) -> bytes:
    """What begins a COPY row."""
    return _int16(columns)


def text(value: str) -> bytes:
    """A text value. Raises UnicodeEncodeError for lone surrogates."""
    data = value.encode()
    return _int32(len(data)) + data


def text_or_null(value: str | None) -> bytes:
    """A text value or NULL."""
    return NULL if value is None else text(value)


def jsonb(value: bytes) -> bytes:
    """A jsonb value from JSON text; 1 is the version of the format."""
    return _int32(len(value) + 1) + b"\x01" + value


def timestamptz(microseconds: int) -> bytes:
    """A timestamptz from microseconds since 1970 in UTC."""
    return _timestamp(8, microseconds - PG_EPOCH_US)


def int4(value: int) -> bytes:
    """A 32-bit integer; unsigned values of CRC-32 wrap around."""
    return _int4_value(4, signed(value))


def signed(value: int) -> int:
    """An unsigned 32-bit value as PostgreSQL's int4 shows it."""
    return value - 0x1_0000_0000 if value > 0x7FFF_FFFF else value


def int2(value: int) -> bytes:
    """A 16-bit integer."""
    return _int32(2) + _int16(value)


def int8(value: int) -> bytes:
    """A 64-bit integer."""
    return _timestamp(8, value)


def array(element_type: str, values: Iterable[bytes], count: int) -> bytes:
    """A one-dimensional array without NULLs from values encoded as above."""
    return _array_header(1, 0, _OIDS[element_type], count, 1) + b"".join(values)
