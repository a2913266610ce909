"""Rollups: what a transaction adds to the counts, written in the same transaction as the rows they count.

Written last: their rows are shared by all processors and stay locked until COMMIT. Which levels have to know a count
now, and which are told later by ``rollup_compaction``, the database's function decides (migration 0008).
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
_Columns = dict[str, list[Any]]


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
    """Events and bytes by minute of occurred_at, counted from 1970, client and type."""
    waits: Counter[tuple[int, str, str]] = field(default_factory=Counter)
    """Stored events by time of receipt, client and type."""
    intake: dict[tuple[int, str], IntakeCounts] = field(default_factory=lambda: defaultdict(IntakeCounts))
    """By minute of receipt and client."""

    def add_stored(self, stored: Placed) -> None:
        """Count events that this transaction stores."""
        events = self.events
        waits: Counter[tuple[int, str, str]] = Counter()
        for _, block, frame in stored:
            received_us, client_id = block.received_us, block.client_id
            occurred_us = received_us if frame.occurred_us is None else frame.occurred_us
            key = (occurred_us // MINUTE_US, client_id, frame.event_type)
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
        return self.intake[received_us // MINUTE_US, client_id]

    def write(self, connection: Connection[Any]) -> None:
        """Add all to the tables, inside the open transaction, in one statement. Raises psycopg.Error."""
        if not (self.events or self.intake):
            return
        stored_us = time.time_ns() // 1000
        values = {**self._event_columns(), **self._latency_columns(stored_us), **self._intake_columns()}
        connection.execute(
            load_sql("stream_processor", "add_to_rollups"), {**values, "stored_minute": stored_us // MINUTE_US}
        )

    def _event_columns(self) -> _Columns:
        counts = self.events.values()
        return {
            "event_minutes": [minute for minute, _, _ in self.events],
            "event_clients": [client_id for _, client_id, _ in self.events],
            "event_types": [event_type for _, _, event_type in self.events],
            "event_counts": [events for events, _ in counts],
            "event_bytes": [size for _, size in counts],
        }

    def _latency_columns(self, stored_us: int) -> _Columns:
        buckets: Counter[tuple[str, str, int]] = Counter()
        for (received_us, client_id, event_type), count in self.waits.items():
            buckets[client_id, event_type, bucket_of(stored_us - received_us)] += count
        return {
            "latency_clients": [client_id for client_id, _, _ in buckets],
            "latency_types": [event_type for _, event_type, _ in buckets],
            "latency_buckets": [bucket for _, _, bucket in buckets],
            "latency_counts": list(buckets.values()),
        }

    def _intake_columns(self) -> _Columns:
        counts = self.intake.values()
        return {
            "intake_minutes": [minute for minute, _ in self.intake],
            "intake_clients": [client_id for _, client_id in self.intake],
            "intake_stored": [count.stored for count in counts],
            "intake_duplicates": [count.duplicates for count in counts],
            "intake_conflicting": [count.conflicting for count in counts],
            "intake_failed": [count.failed for count in counts],
        }
