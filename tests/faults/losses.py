"""What was taken away on purpose, to the last event: an emptied Redis and dropped partitions are no losses."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
import redis
from psycopg import Connection
from psycopg.rows import TupleRow

from shared.audit_record import decode_records
from shared.redis_keys import ShardKeys
from shared.stream_entry import decode_blocks
from stream_processor.entries import Failure

_KEYS = ShardKeys(0)
_failures = msgspec.msgpack.Decoder(list[Failure])


@dataclass(frozen=True, slots=True)
class DroppedRow:
    """What the rollups still count of an event whose partition is gone."""

    client_id: str
    event_id: str
    event_type: str
    occurred_minute: Any
    received_minute: Any


@dataclass
class Losses:
    """Known exactly, as each was taken in the same atomic step that took it away."""

    events: set[str] = field(default_factory=set)
    """``client NUL event_id`` of those in the stream of a Redis that was emptied; they may be stored all the same."""
    requests: set[str] = field(default_factory=set)
    """The ids of requests whose audit records were there."""
    emptied: int = 0
    """How often Redis was."""
    entries: list[tuple[str, int]] = field(default_factory=list)
    """The event entries there: id, and number of events."""
    added: int = 0
    """Events that were ever added in the lives of Redis that have ended so."""
    failed: int = 0
    """Events that were on their way to the failed ones."""
    rows: list[DroppedRow] = field(default_factory=list)

    def empty(self, client: "redis.Redis") -> int:
        """FLUSHALL; how many events were in the stream."""
        transaction = client.pipeline(transaction=True)
        for keys in _KEYS.streams:
            transaction.xrange(keys.stream)
        transaction.hget(_KEYS.events.totals, "added")
        transaction.flushall()
        events, audit, dead, added, _ = transaction.execute()
        for entry_id, fields in events:
            blocks = decode_blocks(fields[b"e"])
            self.events |= {f"{block.client_id}\0{event.event_id}" for block in blocks for event in block.events}
            self.entries.append((entry_id.decode(), int(fields[b"n"])))
        for _, fields in audit:
            self.requests |= {record.request_id for record in decode_records(fields[b"e"])}
        self.added += int(added or 0)
        self.emptied += 1
        for _, fields in dead:
            failures = _failures.decode(fields[b"e"])
            self.events |= {f"{failure.client_id}\0{failure.event_id}" for failure in failures}
            self.failed += len(failures)
        return sum(int(fields[b"n"]) for _, fields in events)

    def drop_partition(self, connection: Connection[TupleRow], child: str) -> int:
        """DROP TABLE of a day of events; how many there were."""
        with connection.transaction():
            connection.execute(f"LOCK TABLE {child} IN ACCESS EXCLUSIVE MODE".encode())
            found = connection.execute(
                "SELECT client_id, event_id, event_type, date_trunc('minute', occurred_at, 'UTC'), "
                f"date_trunc('minute', received_at, 'UTC') FROM {child}".encode()
            ).fetchall()
            connection.execute(f"DROP TABLE {child}".encode())
        self.rows += [DroppedRow(*row) for row in found]
        return len(found)
