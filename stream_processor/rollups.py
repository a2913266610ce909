"""Rollups: what a transaction adds to the counts, written in the same transaction as the rows they count.

Written last: their rows are shared by all processors and stay locked until COMMIT. Which levels have to know a count
now, and which are told later by ``rollup_compaction``, the database's function decides (migration 0008).
"""

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg import Connection

from shared.latency_sketch import bucket_of
from shared.sql_files import load_sql
from shared.stream_entry import Block, EventFrame
from stream_processor.binary_array import int2_array, int8_array, repeated_text, text_array
from stream_processor.event_rows import MINUTE_US

Placed = Sequence[tuple[str, Block, EventFrame]]
_Columns = dict[str, Any]


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
    waits: dict[tuple[str, str], dict[int, int]] = field(default_factory=dict)
    """Stored events by client and type, then by time of receipt."""
    intake: dict[tuple[int, str], IntakeCounts] = field(default_factory=lambda: defaultdict(IntakeCounts))
    """By minute of receipt and client."""

    def add_stored(self, stored: Placed) -> None:
        """Count events that this transaction stores."""
        found: dict[tuple[int, str, str], tuple[list[int], dict[int, int]]] = {}
        for _, block, frame in stored:
            received_us, occurred_us = block.received_us, frame.occurred_us
            minute = (received_us if occurred_us is None else occurred_us) // MINUTE_US
            key = (minute, block.client_id, frame.event_type)
            counted = found.get(key)
            if counted is None:
                counted = found[key] = ([], {})
            sizes, receipts = counted
            sizes.append(len(frame.payload))
            receipts[received_us] = receipts.get(received_us, 0) + 1
        for (minute, client_id, event_type), (sizes, receipts) in found.items():
            self._add_events((minute, client_id, event_type), len(sizes), sum(sizes))
            self._add_receipts(client_id, event_type, receipts)

    def _add_events(self, key: tuple[int, str, str], events: int, size: int) -> None:
        counts = self.events.setdefault(key, [0, 0])
        counts[0] += events
        counts[1] += size

    def _add_receipts(self, client_id: str, event_type: str, receipts: dict[int, int]) -> None:
        for minute, events in _by_minute(receipts).items():
            self.intake[minute, client_id].stored += events
        waits = self.waits.setdefault((client_id, event_type), receipts)
        if waits is not receipts:
            for received_us, events in receipts.items():
                waits[received_us] = waits.get(received_us, 0) + events

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
            "event_minutes": int8_array(minute for minute, _, _ in self.events),
            "event_clients": text_array(repeated_text(client_id) for _, client_id, _ in self.events),
            "event_types": text_array(repeated_text(event_type) for _, _, event_type in self.events),
            "event_counts": int8_array(events for events, _ in counts),
            "event_bytes": int8_array(size for _, size in counts),
        }

    def _latency_columns(self, stored_us: int) -> _Columns:
        clients: list[bytes] = []
        types: list[bytes] = []
        places: list[int] = []
        counts: list[int] = []
        for (client_id, event_type), receipts in self.waits.items():
            buckets = _latencies(receipts, stored_us)
            clients += [repeated_text(client_id)] * len(buckets)
            types += [repeated_text(event_type)] * len(buckets)
            places += buckets
            counts += buckets.values()
        return {
            "latency_clients": text_array(clients),
            "latency_types": text_array(types),
            "latency_buckets": int2_array(places),
            "latency_counts": int8_array(counts),
        }

    def _intake_columns(self) -> _Columns:
        counts = self.intake.values()
        return {
            "intake_minutes": int8_array(minute for minute, _ in self.intake),
            "intake_clients": text_array(repeated_text(client_id) for _, client_id in self.intake),
            "intake_stored": int8_array(count.stored for count in counts),
            "intake_duplicates": int8_array(count.duplicates for count in counts),
            "intake_conflicting": int8_array(count.conflicting for count in counts),
            "intake_failed": int8_array(count.failed for count in counts),
        }


def _by_minute(receipts: Mapping[int, int]) -> Mapping[int, int]:
    """Events by minute of receipt; nearly always that is one minute."""
    first, last = min(receipts) // MINUTE_US, max(receipts) // MINUTE_US
    if first == last:
        return {first: sum(receipts.values())}
    minutes: Counter[int] = Counter()
    for received_us, events in receipts.items():
        minutes[received_us // MINUTE_US] += events
    return minutes


def _latencies(receipts: Mapping[int, int], stored_us: int) -> dict[int, int]:
    """Events by bucket of latency."""
    buckets: dict[int, int] = {}
    for received_us, events in receipts.items():
        bucket = bucket_of(stored_us - received_us)
        buckets[bucket] = buckets.get(bucket, 0) + events
    return buckets
