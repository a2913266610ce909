"""A made-up past of 90 days, stored by the processor's own steps as if it had happened then.

The clock that rollups take the time of storing from is a simulated one, and the coarser rollups follow it, as they
would have: latencies and receipts lie where the events do, and the last minutes are not compacted yet.
"""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from zlib import crc32

import msgspec
import psycopg
from psycopg import Connection

from deploy.connections import store_connection
from shared.audit_record import AuditRecord
from shared.redis_keys import ShardKeys
from shared.stream_entry import Block, EventFrame
from stream_processor import rollups
from stream_processor.audit_sink import AuditSink
from stream_processor.entries import Prepared, Source, StreamEntry
from stream_processor.event_sink import EventSink
from stream_processor.partitions import DayPartitions
from stream_processor.rollup_compaction import compact_rollups, compaction_target
from stream_processor.storage import store

DAYS = 90
CLIENTS = [f"client-{number:02}" for number in range(50)]
TYPES = [f"kind-{number:02}.happened" for number in range(40)]
_MOST_BATCH_EVENTS, _LEAST_BATCH_EVENTS = 5000, 250
EVENTS_A_CALL = 20
"""About how many audit rows there are: one for so many events."""
_DAY_US = 86_400_000_000
_PAYLOADS = 5000
_BLOCK_EVENTS = 10

Progress = Callable[[int], None]


class History:
    """Stores events and audit rows up to ``end_us``. Everything follows from a seed."""

    def __init__(self, writer_url: str, end_us: int) -> None:
        self._url = writer_url
        self._end_us = end_us
        self._partitions = DayPartitions(lambda: store_connection(writer_url))
        self._dice = random.Random(4)
        # the largest client and type are some seven times the smallest
        self._client_weights = [(number + 1) ** -0.5 for number in range(len(CLIENTS))]
        self._type_weights = [(number + 1) ** -0.5 for number in range(len(TYPES))]
        payloads = [self._payload() for _ in range(_PAYLOADS)]
        self._payloads = [(payload, crc32(payload)) for payload in payloads]
        self._stored_us = 0

    def store_events(self, count: int, progress: Progress) -> None:
        """Store them in batches, oldest first, compacting behind. ``progress`` is told how many are stored."""
        source = Source(ShardKeys(0).events, "dead", "parked", EventSink([], self._partitions))
        clock = SimpleNamespace(time_ns=lambda: self._stored_us * 1000)
        real, rollups.time = rollups.time, clock  # type: ignore[assignment]
        try:
            with store_connection(self._url) as connection:
                self._store(connection, source, self._event_batches(count), progress, compacts=True)
                self._compact(connection, self._end_us)
        finally:
            rollups.time = real

    def store_calls(self, count: int, progress: Progress) -> None:
        """Store audit rows."""
        source = Source(ShardKeys(0).audit, "dead", "parked", AuditSink(self._partitions))
        with store_connection(self._url) as connection:
            self._store(connection, source, self._call_batches(count), progress, compacts=False)

    def _store(
        self,
        connection: Connection[Any],
        source: Source,
        batches: Iterator[tuple[int, list[StreamEntry]]],
        progress: Progress,
        *,
        compacts: bool,
    ) -> None:
        """As a processor: the next batch is prepared while this one is written."""

        def next_batch() -> tuple[int, Prepared] | None:
            batch = next(batches, None)
            return batch and (batch[0], source.sink.prepare(batch[1]))

        done = 0
        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(next_batch)
            while (batch := coming.result()) is not None:
                coming = reader.submit(next_batch)
                began_us, prepared = batch
                if compacts:
                    self._compact(connection, began_us)
                    self._stored_us = self._batch_end_us(began_us)
                stored = store(connection, source, prepared, self._partitions.forget)
                assert not stored.parked and not stored.redelivered
                done += sum(entry.events for entry in prepared.entries)
                progress(done)

    def _compact(self, connection: psycopg.Connection[Any], now_us: int) -> None:
        compact_rollups(connection, compaction_target(now_us / 1e6), round_seconds=600)

    def _event_batches(self, count: int) -> Iterator[tuple[int, list[StreamEntry]]]:
        # a batch an hour if it can be: latencies are of the minutes in which batches are stored
        size_wanted = min(max(count // (DAYS * 24), _LEAST_BATCH_EVENTS), _MOST_BATCH_EVENTS)
        batches = -(-count // size_wanted)
        self._span_us = DAYS * _DAY_US // batches
        for number in range(batches):
            began_us = self._end_us - (batches - number) * self._span_us
            size = min(size_wanted, count - number * size_wanted)
            moments = sorted(began_us + self._dice.randrange(self._span_us) for _ in range(size))
            clients = self._dice.choices(CLIENTS, self._client_weights, k=size)
            types = self._dice.choices(TYPES, self._type_weights, k=size)
            frames: dict[str, list[EventFrame]] = defaultdict(list)
            for place, (moment_us, client_id, event_type) in enumerate(zip(moments, clients, types, strict=True)):
                payload, crc = self._dice.choice(self._payloads)
                frames[client_id].append(EventFrame(f"{number:x}-{place:x}", event_type, moment_us, payload, crc))
            blocks = [
                self._block(client_id, self._batch_end_us(began_us), sent[first : first + _BLOCK_EVENTS])
                for client_id, sent in frames.items()
                for first in range(0, len(sent), _BLOCK_EVENTS)
            ]
            yield began_us, [StreamEntry(f"{number + 1}-0", size, msgspec.msgpack.encode(blocks))]

    def _block(self, client_id: str, stored_us: int, frames: list[EventFrame]) -> Block:
        waited_us = int(self._dice.lognormvariate(10.5, 0.7))  # some 36 ms
        return Block(1, client_id, stored_us - waited_us, "g1", "192.0.2.1", "bench", "r", "k", frames)

    def _batch_end_us(self, began_us: int) -> int:
        return began_us + self._span_us

    def _call_batches(self, count: int) -> Iterator[tuple[int, list[StreamEntry]]]:
        step_us = DAYS * _DAY_US // count
        for first in range(0, count, _MOST_BATCH_EVENTS):
            size = min(_MOST_BATCH_EVENTS, count - first)
            at_us = self._end_us - (count - first) * step_us
            records = [self._call(at_us + place * step_us, first + place) for place in range(size)]
            yield at_us, [StreamEntry(f"{first + 1}-0", size, msgspec.msgpack.encode(records))]

    def _call(self, at_us: int, number: int) -> AuditRecord:
        [client_id] = self._dice.choices(CLIENTS, self._client_weights)
        status, error = (422, "invalid-event") if number % 50 == 0 else (202, "")
        path = "/api/v1/events/batch"
        return AuditRecord(
            1, at_us, "gateway", "g1", client_id, "k", "POST", path, path, "", 1500, 4000, "192.0.2.1", "bench",
            f"{number:024x}", status, error,
        )  # fmt: skip

    def _payload(self) -> bytes:
        amount = self._dice.randrange(1, 100_000) / 100
        note = "x" * self._dice.randrange(20, 100)
        return b'{"user_id":%d,"amount":%.2f,"note":"%b"}' % (self._dice.randrange(1, 5000), amount, note.encode())


def now_minute_us() -> int:
    """The beginning of this minute."""
    return int(datetime.now(UTC).replace(second=0, microsecond=0).timestamp()) * 1_000_000


def seconds_since(began: float) -> float:
    """Of ``time.perf_counter``."""
    return time.perf_counter() - began
