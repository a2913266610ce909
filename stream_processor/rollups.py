"""Rollups: what a transaction adds to the counts, written in the same transaction as the rows they count.

Written last and in key order: their rows are shared by all processors and stay locked until COMMIT.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg import Connection

from shared.latency_sketch import bucket_of
from shared.sql_files import load_sql
from shared.stream_entry import Block, EventFrame
from stream_processor.event_rows import MINUTE_US

Placed = Sequence[tuple[str, Block, EventFrame]]


@dataclass(slots=True)
class IntakeCounts:
    """What became of the accepted events of one client and minute."""

    stored: int = 0
    duplicates: int = 0
    conflicting: int = 0
    failed: int = 0


@dataclass(slots=True)
class RollupAdditions:
    """Everything one transaction adds."""

    events: dict[tuple[int, str, str], list[int]] = field(default_factory=dict)
    waits: Counter[tuple[int, str, str]] = field(default_factory=Counter)
    """Stored events by time of receipt, client and type."""
    intake: dict[tuple[int, str], IntakeCounts] = field(default_factory=lambda: defaultdict(IntakeCounts))

    def add_stored(self, stored: Placed) -> None:
        """Count events that this transaction stores."""
        events = self.events
        waits: Counter[tuple[int, str, str]] = Counter()
        for _, block, frame in stored:
            received_us, client_id = block.received_us, block.client_id
            occurred_us = received_us if frame.occurred_us is None else frame.occurred_us
            key = (occurred_us - occurred_us % MINUTE_US, client_id, frame.event_type)
            counts = events.get(key)
            if counts is None:
                events[key] = [1, len(frame.payload)]
            else:
                counts[0] += 1
                counts[1] += len(frame.payload)
            waits[received_us, client_id, frame.event_type] += 1
        for (received_us, client_id, _), count in waits.items():
            self.intake_of(client_id, received_us).stored += count
        self.waits.update(waits)

    def intake_of(self, client_id: str, received_us: int) -> IntakeCounts:
        """The counts of a client and minute of receipt, to add to."""
        return self.intake[received_us - received_us % MINUTE_US, client_id]

    def write(self, connection: Connection[Any]) -> None:
        """Add all to the tables, inside the open transaction. Raises psycopg.Error."""
        if self.events:
            self._write_events(connection)
            self._write_latency(connection, time.time_ns() // 1000)
        if self.intake:
            self._write_intake(connection)

    def _write_events(self, connection: Connection[Any]) -> None:
        minutes, client_ids, event_types = zip(*self.events, strict=True)
        events, sizes = zip(*self.events.values(), strict=True)
        connection.execute(
            load_sql("stream_processor", "add_events_rollup"),
            {
                "minutes": list(minutes),
                "client_ids": list(client_ids),
                "event_types": list(event_types),
                "events": list(events),
                "bytes": list(sizes),
            },
        )

    def _write_latency(self, connection: Connection[Any], stored_us: int) -> None:
        buckets: Counter[tuple[str, str, int]] = Counter()
        for (received_us, client_id, event_type), count in self.waits.items():
            buckets[client_id, event_type, bucket_of(stored_us - received_us)] += count
        client_ids, event_types, numbers = zip(*buckets, strict=True)
        connection.execute(
            load_sql("stream_processor", "add_latency_rollup"),
            {
                "minutes": [stored_us - stored_us % MINUTE_US] * len(buckets),
                "client_ids": list(client_ids),
                "event_types": list(event_types),
                "buckets": list(numbers),
                "events": list(buckets.values()),
            },
        )

    def _write_intake(self, connection: Connection[Any]) -> None:
        minutes, client_ids = zip(*self.intake, strict=True)
        counts = self.intake.values()
        connection.execute(
            load_sql("stream_processor", "add_intake_rollup"),
            {
                "minutes": list(minutes),
                "client_ids": list(client_ids),
                "stored": [count.stored for count in counts],
                "duplicates": [count.duplicates for count in counts],
                "conflicting": [count.conflicting for count in counts],
                "failed": [count.failed for count in counts],
            },
        )
