"""A made-up past of 90 days, stored by the processor's own steps as if it had happened then.

A batch holds an hour, so it meets one day's partition, and the coarser rollups are written once an hour; but the hour
of the day at which asked ranges begin and end is stored minute by minute, so that questions find as many minute rows
there as they would in a system that ran all the time. The clock that rollups take the time of storing from is a
simulated one: latencies and receipts lie where the events do, and the last minutes are not compacted yet.
"""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import pairwise
from types import SimpleNamespace
from typing import Any
from zlib import crc32

import msgspec
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
_MOST_BATCH_CALLS = 5000
EVENTS_A_CALL = 20
"""About how many audit rows there are: one for so many events."""
_MINUTE_US = 60_000_000
_HOUR_US = 60 * _MINUTE_US
_DAY_US = 24 * _HOUR_US
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
        self._compacting: Future[None] | None = None

    def store_events(self, count: int, progress: Progress) -> None:
        """Store them in batches, oldest first, compacting behind. ``progress`` is told how many are stored."""
        source = Source(ShardKeys(0).events, "dead", "parked", EventSink([], self._partitions))
        clock = SimpleNamespace(time_ns=lambda: self._stored_us * 1000)
        real, rollups.time = rollups.time, clock  # type: ignore[assignment]
        try:
            with self._connection() as upkeep, ThreadPoolExecutor(1) as compactor:
                self._store(source, self._event_batches(count), progress, self._following(upkeep, compactor))
                self._finished()
                _compact(upkeep, compaction_target(self._end_us / 1e6))
        finally:
            rollups.time = real

    def store_calls(self, count: int, progress: Progress) -> None:
        """Store audit rows."""
        source = Source(ShardKeys(0).audit, "dead", "parked", AuditSink(self._partitions))
        self._store(source, self._call_batches(count), progress, lambda _: None)

    def _store(
        self,
        source: Source,
        batches: Iterator[tuple[int, list[StreamEntry]]],
        progress: Progress,
        before_batch: Callable[[int], None],
    ) -> None:
        """As a processor: the next batch is prepared while this one is written."""

        def next_batch() -> tuple[int, Prepared] | None:
            batch = next(batches, None)
            return batch and (batch[0], source.sink.prepare(batch[1]))

        done = 0
        with ThreadPoolExecutor(1) as reader, self._connection() as connection:
            coming = reader.submit(next_batch)
            while (batch := coming.result()) is not None:
                coming = reader.submit(next_batch)
                last_us, prepared = batch
                before_batch(last_us)
                stored = store(connection, source, prepared, self._partitions.forget)
                assert not stored.parked and not stored.redelivered
                done += sum(entry.events for entry in prepared.entries)
                progress(done)

    def _connection(self) -> Connection[Any]:
        """A processor's, but without its deadlines: a bench that is stopped for a while goes on."""
        connection = store_connection(self._url)
        for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
            connection.execute("SELECT set_config(%s, '0', false)", (name,))
        return connection

    def _following(self, upkeep: Connection[Any], compactor: ThreadPoolExecutor) -> Callable[[int], None]:
        """What sets the clock for a batch; and compacts the hours before it meanwhile, as a processor's upkeep does."""

        def follow(last_us: int) -> None:
            if self._stored_us // _HOUR_US < last_us // _HOUR_US:
                self._finished()
                target = datetime.fromtimestamp(last_us // _HOUR_US * 3600, UTC)
                self._compacting = compactor.submit(_compact, upkeep, target)
            self._stored_us = last_us

        return follow

    def _finished(self) -> None:
        if self._compacting is not None:
            self._compacting.result()

    def _event_batches(self, count: int) -> Iterator[tuple[int, list[StreamEntry]]]:
        start_us = self._end_us - DAYS * _DAY_US
        for number, (first_us, end_us) in enumerate(pairwise(batch_bounds(start_us, self._end_us))):
            before, behind = (count * (bound - start_us) // (DAYS * _DAY_US) for bound in (first_us, end_us))
            size, span_us = behind - before, end_us - first_us
            if not size:
                continue
            moments = [first_us + int(span_us * part) for part in sorted(self._chances(size))]
            clients = self._dice.choices(CLIENTS, self._client_weights, k=size)
            types = self._dice.choices(TYPES, self._type_weights, k=size)
            payloads = self._dice.choices(self._payloads, k=size)
            frames: dict[str, list[EventFrame]] = defaultdict(list)
            for place, (moment_us, client_id, event_type, payload) in enumerate(
                zip(moments, clients, types, payloads, strict=True)
            ):
                frames[client_id].append(EventFrame(f"{number:x}-{place:x}", event_type, moment_us, *payload))
            blocks = [
                self._block(client_id, end_us - 1, sent[first : first + _BLOCK_EVENTS])
                for client_id, sent in frames.items()
                for first in range(0, len(sent), _BLOCK_EVENTS)
            ]
            yield end_us - 1, [StreamEntry(f"{number + 1}-0", size, msgspec.msgpack.encode(blocks))]

    def _chances(self, number: int) -> list[float]:
        chance = self._dice.random
        return [chance() for _ in range(number)]

    def _block(self, client_id: str, stored_us: int, frames: list[EventFrame]) -> Block:
        waited_us = int(self._dice.lognormvariate(10.5, 0.7))  # some 36 ms
        return Block(1, client_id, stored_us - waited_us, "g1", "192.0.2.1", "bench", "r", "k", frames)

    def _call_batches(self, count: int) -> Iterator[tuple[int, list[StreamEntry]]]:
        step_us = DAYS * _DAY_US // count
        for first in range(0, count, _MOST_BATCH_CALLS):
            size = min(_MOST_BATCH_CALLS, count - first)
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


def batch_bounds(start_us: int, end_us: int) -> list[int]:
    """Where batches meet: at whole hours, and at whole minutes of the hour of the day at which the history ends."""
    cut_hour = (end_us - 1) // _HOUR_US % 24
    bounds = [start_us]
    while bounds[-1] < end_us:
        last = bounds[-1]
        step = _MINUTE_US if last // _HOUR_US % 24 == cut_hour else _HOUR_US
        bounds.append(min(last // step * step + step, end_us))
    return bounds


def _compact(connection: Connection[Any], target: datetime) -> None:
    compact_rollups(connection, target, round_seconds=600)


def now_minute_us() -> int:
    """The beginning of this minute."""
    return int(datetime.now(UTC).replace(second=0, microsecond=0).timestamp()) * 1_000_000


def seconds_since(began: float) -> float:
    """Of ``time.perf_counter``."""
    return time.perf_counter() - began
