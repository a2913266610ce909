"""Arrays encoded by hand as psycopg parameters: bytes that psycopg passes on untouched, under the array's type.

Any connection takes them that is made after this module was imported.
"""

from collections.abc import Collection, Iterable
from functools import lru_cache
from struct import Struct
from typing import Any, Final

import psycopg
from psycopg.adapt import AdaptersMap, Buffer, Dumper
from psycopg.pq import Format

from stream_processor.copy_binary import PG_EPOCH_US, array, text

_int2 = Struct(">ih").pack
_int4 = Struct(">iI").pack
_int8 = Struct(">iq").pack
_REPEATED_TEXTS: Final = 20_000


class TextArray(bytes):
    """text[]"""


class TimestamptzArray(bytes):
    """timestamptz[]"""


class Int2Array(bytes):
    """int2[]"""


class Int4Array(bytes):
    """int4[]"""


class Int8Array(bytes):
    """int8[]"""


class _AsIs(Dumper):
    format = Format.BINARY

    def dump(self, obj: Any) -> Buffer:
        return bytes(obj)


class _TextArrayDumper(_AsIs):
    oid = 1009


class _TimestamptzArrayDumper(_AsIs):
    oid = 1185


class _Int2ArrayDumper(_AsIs):
    oid = 1005


class _Int4ArrayDumper(_AsIs):
    oid = 1007


class _Int8ArrayDumper(_AsIs):
    oid = 1016


def register_arrays(adapters: AdaptersMap) -> None:
    """Let connections take these kinds as parameters."""
    adapters.register_dumper(TextArray, _TextArrayDumper)
    adapters.register_dumper(TimestamptzArray, _TimestamptzArrayDumper)
    adapters.register_dumper(Int2Array, _Int2ArrayDumper)
    adapters.register_dumper(Int4Array, _Int4ArrayDumper)
    adapters.register_dumper(Int8Array, _Int8ArrayDumper)


register_arrays(psycopg.adapters)  # once for all connections: for each transaction it would be a cost


@lru_cache(maxsize=_REPEATED_TEXTS)
def repeated_text(value: str) -> bytes:
    """``copy_binary.text`` of what comes again and again: client ids, types."""
    return text(value)


def text_array(values: Iterable[bytes]) -> TextArray:
    """From values encoded by ``copy_binary.text``."""
    encoded = list(values)
    return TextArray(array("text", encoded, len(encoded)))


def timestamptz_array(microseconds: Iterable[int]) -> TimestamptzArray:
    """From microseconds since 1970 in UTC."""
    encoded = [_int8(8, value - PG_EPOCH_US) for value in microseconds]
    return TimestamptzArray(array("timestamptz", encoded, len(encoded)))


def int2_array(values: Iterable[int]) -> Int2Array:
    """From 16-bit integers."""
    encoded = [_int2(2, value) for value in values]
    return Int2Array(array("int2", encoded, len(encoded)))


def int4_array(values: Iterable[int]) -> Int4Array:
    """From 32-bit integers; unsigned ones wrap around, as those of CRC-32."""
    return encoded_int4_array([_int4(4, value & 0xFFFF_FFFF) for value in values])


def encoded_int4_array(values: Collection[bytes]) -> Int4Array:
    """From values encoded by ``copy_binary.int4``."""
    return Int4Array(array("int4", values, len(values)))


def int8_array(values: Iterable[int]) -> Int8Array:
    """From 64-bit integers."""
    encoded = [_int8(8, value) for value in values]
    return Int8Array(array("int8", encoded, len(encoded)))
