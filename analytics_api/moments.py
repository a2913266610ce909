"""Many moments as one parameter: a ``timestamptz[]`` put together in one step, in PostgreSQL's binary form.

A series of a month by hours has 720 of them, and psycopg would turn one datetime after another into text.
"""

import struct
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

_TIMESTAMPTZ_OID: Final = 1184
_POSTGRES_EPOCH_US: Final = 946_684_800_000_000
"""Microseconds from 1970 to 2000, from where PostgreSQL counts."""
_HEAD: Final = struct.Struct("!iiIii")


class Moments(list[int]):
    """Microseconds since 1970. Connections that were told by ``register_moments`` take it as ``timestamptz[]``."""


class _MomentsDumper(Dumper):
    format = Format.BINARY
    oid = 1185

    def dump(self, obj: Any) -> Buffer:
        if not obj:
            return struct.pack("!iiI", 0, 0, _TIMESTAMPTZ_OID)
        head = _HEAD.pack(1, 0, _TIMESTAMPTZ_OID, len(obj), 1)
        pairs = [part for moment_us in obj for part in (8, moment_us - _POSTGRES_EPOCH_US)]
        return head + struct.pack("!" + "iq" * len(obj), *pairs)


def register_moments(connection: AsyncConnection[Any]) -> None:
    """Let a connection take ``Moments`` as parameters."""
    connection.adapters.register_dumper(Moments, _MomentsDumper)
