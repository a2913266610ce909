"""Arrays encoded by hand as psycopg parameters: bytes that psycopg passes on untouched, under the array's type."""

from typing import Any

from psycopg import Connection
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

from stream_processor.copy_binary import array


class TextArray(bytes):
    """text[]"""


class TimestamptzArray(bytes):
    """timestamptz[]"""


class Int4Array(bytes):
    """int4[]"""


class _AsIs(Dumper):
    format = Format.BINARY

    def dump(self, obj: Any) -> Buffer:
        return bytes(obj)


class _TextArrayDumper(_AsIs):
    oid = 1009


class _TimestamptzArrayDumper(_AsIs):
    oid = 1185


class _Int4ArrayDumper(_AsIs):
    oid = 1007


def register_arrays(connection: Connection[Any]) -> None:
    """Let a connection take the three kinds as parameters."""
    connection.adapters.register_dumper(TextArray, _TextArrayDumper)
    connection.adapters.register_dumper(TimestamptzArray, _TimestamptzArrayDumper)
    connection.adapters.register_dumper(Int4Array, _Int4ArrayDumper)


def text_array(values: list[bytes]) -> TextArray:
    """From values encoded by ``copy_binary.text``."""
    return TextArray(array("text", values, len(values)))


def timestamptz_array(values: list[bytes]) -> TimestamptzArray:
    """From values encoded by ``copy_binary.timestamptz``."""
    return TimestamptzArray(array("timestamptz", values, len(values)))


def int4_array(values: list[bytes]) -> Int4Array:
    """From values encoded by ``copy_binary.int4``."""
    return Int4Array(array("int4", values, len(values)))
