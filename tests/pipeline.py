"""A processor's parts, put together step by step: for tests of what becomes of entries between two of them."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from zlib import crc32

import msgspec
import psycopg
import redis
from psycopg import Connection

from deploy.connections import store_connection, sync_redis
from deploy.endpoints import with_role
from shared.redis_keys import GROUP, ShardKeys, StreamKeys
from shared.stream_entry import Block, EventFrame
from stream_processor.config import ProcessorConfig
from stream_processor.enrich import Enricher
from stream_processor.entries import Prepared, Sink, Source, StreamEntry
from stream_processor.event_sink import EventSink
from stream_processor.partitions import DayPartitions
from stream_processor.processor import Processor
from stream_processor.retry_schedule import RetrySchedule
from stream_processor.settlement import ParkedNames, Settlement
from stream_processor.storage import Stored, store
from stream_processor.stream_reader import StreamReader
from tests.accepted_events import append
from tests.rollup_levels import level_differences
from tests.waiting import eventually

KEYS = ShardKeys(0)
DAY_US = 86_400_000_000
SOCKET_SECONDS = 4.0


def now_us() -> int:
    return time.time_ns() // 1000


def event(
    event_id: str, payload: bytes = b'{"a": 1}', *, event_type: str = "order.created", occurred_us: int | None = None
) -> EventFrame:
    return EventFrame(event_id, event_type, occurred_us, payload, crc32(payload))


def block(*events: EventFrame, client_id: str = "acme", received_us: int | None = None) -> Block:
    received = now_us() if received_us is None else received_us
    return Block(1, client_id, received, "gw", "192.0.2.1", "curl/8.5.0", "r1", "k1", list(events))


def entry(entry_id: str, *blocks: Block) -> StreamEntry:
    """As a processor reads it."""
    return StreamEntry(entry_id, sum(len(one.events) for one in blocks), msgspec.msgpack.encode(list(blocks)))


def put(client: "redis.Redis", *blocks: Block, keys: StreamKeys = KEYS.events) -> str:
    """One entry on a stream, as the gateway appends it; returns its id."""
    events = sum(len(one.events) for one in blocks)
    return "{}-{}".format(*append(client, keys, events, msgspec.msgpack.encode(list(blocks))))


def connect(database_url: str) -> Connection[Any]:
    """As a processor does: with its role and its time-outs."""
    return store_connection(with_role(database_url, "weir_writer"))


class Pipeline:
    """One stream's path on one consumer, without its threads; that of the event stream, if nothing else is said."""

    def __init__(
        self,
        redis_url: str,
        database_url: str,
        *,
        enrichers: Sequence[Enricher] = (),
        name: str = "p1",
        keys: StreamKeys = KEYS.events,
        sink: Sink | None = None,
    ) -> None:
        self.redis = sync_redis(redis_url, SOCKET_SECONDS)
        self.database_url = database_url
        self.partitions = DayPartitions(lambda: connect(database_url))
        self.sink = sink or EventSink(enrichers, self.partitions)
        self.source = Source(keys, KEYS.dead, KEYS.parked, self.sink)
        self.reader = StreamReader(self.redis, keys, name)
        self.settlement = Settlement(self.redis, self.source, ParkedNames())
        self.connection = connect(database_url)
        self.reader.create_group()

    def read(self) -> list[StreamEntry]:
        return self.reader.read_new(10**6, 10**9)

    def prepare(self, entries: Sequence[StreamEntry]) -> Prepared:
        return self.sink.prepare(entries)

    def store(self, entries: Sequence[StreamEntry]) -> Stored:
        return store(self.connection, self.source, self.prepare(entries), self.partitions.forget)

    def settle(self, stored: Stored) -> None:
        self.settlement.settle(stored.settled)
        for one, failures in stored.parked:
            self.settlement.park(one, failures)

    def pass_on(self) -> Stored:
        """All of it, once: read, store, settle."""
        stored = self.store(self.read())
        self.settle(stored)
        return stored

    def close(self) -> None:
        self.connection.close()
        self.redis.close()


def processor_config(**changes: Any) -> ProcessorConfig:
    values: dict[str, Any] = {
        "consumer": "p1", "shards": 1, "batch_events": 5000, "batch_bytes": 8 << 20, "batch_age_ms": 5,
        "claim_idle_seconds": 30, "drain_seconds": 8,
    }  # fmt: skip
    return ProcessorConfig(**{**values, **changes})


class RunningProcessor:
    """A whole processor in threads of this process."""

    def __init__(
        self,
        redis_url: str,
        database_url: str,
        enrichers: Sequence[Enricher] = (),
        retries: RetrySchedule | None = None,
        **changes: Any,
    ) -> None:
        self.processor = Processor(
            processor_config(**changes),
            lambda: sync_redis(redis_url, SOCKET_SECONDS),
            lambda: connect(database_url),
            enrichers,
            retries,
        )
        self._thread = threading.Thread(target=self.processor.run)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def metric(self, name: str, **labels: str) -> float:
        """A metric's value now; 0 before it was first set."""
        return self.processor.metrics.registry.get_sample_value(name, labels) or 0.0

    def stop(self) -> None:
        """Ask it to stop and wait for the end."""
        self.processor.stop()
        self._thread.join(30)
        assert not self._thread.is_alive()


@contextmanager
def processing(
    redis_url: str, database_url: str, enrichers: Sequence[Enricher] = (), **changes: Any
) -> Iterator[RunningProcessor]:
    """A processor that runs meanwhile."""
    running = RunningProcessor(redis_url, database_url, enrichers, **changes)
    try:
        yield running
    finally:
        running.stop()


def totals(client: Any, keys: StreamKeys = KEYS.events) -> dict[str, int]:
    """Events ever added and settled."""
    added, settled = client.hmget(keys.totals, "added", "settled")
    return {"added": int(added or 0), "settled": int(settled or 0)}


def pending(client: Any, keys: StreamKeys = KEYS.events) -> int:
    """Entries delivered and not acknowledged; none where there is no group yet."""
    if not client.exists(keys.stream) or not client.xinfo_groups(keys.stream):
        return 0
    return int(client.xpending(keys.stream, GROUP)["pending"])


def drained(client: Any) -> bool:
    """Whether every event, audit record and failed event is settled and nothing is left in the streams."""
    return all(
        client.xlen(keys.stream) == 0 and totals(client, keys)["added"] == totals(client, keys)["settled"]
        for keys in KEYS.streams
    )


def wait_until_drained(client: Any, *, within_seconds: float = 15.0) -> None:
    eventually(lambda: drained(client), within_seconds=within_seconds, what="all streams drained")


def rows(database_url: str, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """What a query answers, asked by the owner."""
    with psycopg.connect(database_url) as connection:
        return connection.execute(query.encode(), parameters).fetchall()


def execute(database_url: str, statement: str) -> None:
    """As the owner, in a transaction of its own."""
    with psycopg.connect(database_url) as connection:
        connection.execute(statement.encode())


def value(database_url: str, query: str, *parameters: Any) -> Any:
    """The one value a query answers."""
    ((answer,),) = rows(database_url, query, *parameters)
    return answer


def stored_ids(database_url: str) -> list[str]:
    """The ids of all stored events, each as often as it is stored."""
    return [event_id for (event_id,) in rows(database_url, "SELECT event_id FROM events ORDER BY event_id")]


def intake(database_url: str) -> Mapping[str, int]:
    """What became of accepted events, in all."""
    names = ("stored", "duplicates", "conflicting", "failed")
    sums = ", ".join(f"coalesce(sum({name}), 0)::int" for name in names)
    return dict(zip(names, rows(database_url, f"SELECT {sums} FROM rollup_intake_minute")[0], strict=True))


EVENTS_RECOUNT = """
SELECT date_trunc('minute', occurred_at, 'UTC'), client_id, event_type, count(*) FROM events
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
EVENTS_ROLLUP = """
SELECT bucket_start, client_id, event_type, sum(events)::bigint FROM rollup_events_minute
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
STORED_RECOUNT = """
SELECT date_trunc('minute', received_at, 'UTC'), client_id, count(*) FROM events GROUP BY 1, 2 ORDER BY 1, 2
"""
STORED_ROLLUP = "SELECT bucket_start, client_id, stored FROM rollup_intake_minute WHERE stored > 0 ORDER BY 1, 2"
LATENCY_RECOUNT = "SELECT client_id, event_type, count(*) FROM events GROUP BY 1, 2 ORDER BY 1, 2"
LATENCY_ROLLUP = """
SELECT client_id, event_type, sum(events)::bigint FROM rollup_latency_minute GROUP BY 1, 2 ORDER BY 1, 2
"""


def assert_rollups_equal_recounts(database_url: str) -> None:
    for rollup, recount in (
        (EVENTS_ROLLUP, EVENTS_RECOUNT), (STORED_ROLLUP, STORED_RECOUNT), (LATENCY_ROLLUP, LATENCY_RECOUNT),
    ):  # fmt: skip
        assert rows(database_url, rollup) == rows(database_url, recount)
    with psycopg.connect(database_url) as connection:
        assert list(level_differences(connection)) == []
