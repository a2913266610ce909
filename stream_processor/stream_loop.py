"""The loop that serves one stream: one thread reads and prepares the next batch while the other writes this one."""

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import psycopg
import redis
import structlog
from psycopg import Connection
from redis.exceptions import RedisError, ResponseError

from shared.errors import HaltError
from stream_processor.backoff import Backoff
from stream_processor.config import ProcessorConfig
from stream_processor.entries import Prepared, Source, StreamEntry
from stream_processor.metrics import ProcessorMetrics
from stream_processor.settlement import Settlement
from stream_processor.storage import Stored, store
from stream_processor.stream_reader import StreamReader

log = structlog.get_logger()

BLOCK_MS: Final = 1000
_MAX_ENTRIES: Final = 1000
_HAND_OVER_SECONDS: Final = 0.2


class StreamLoop:
    """Reads, prepares, stores and settles one stream until stopped. ``start`` and ``join`` from one thread."""

    def __init__(
        self,
        config: ProcessorConfig,
        source: Source,
        make_redis: Callable[[], redis.Redis],
        connect: Callable[[], Connection[Any]],
        forget_partitions: Callable[[], None],
        metrics: ProcessorMetrics,
        stop: threading.Event,
    ) -> None:
        self._config = config
        self._source = source
        self._connect = connect
        self._forget_partitions = forget_partitions
        self._metrics = metrics
        self._stop = stop
        self._reader_redis, self._writer_redis = make_redis(), make_redis()
        self._reader = StreamReader(self._reader_redis, source.keys, config.consumer)
        self._settlement = Settlement(self._writer_redis, source)
        self._batches: queue.Queue[Prepared | None] = queue.Queue(maxsize=1)
        self._in_hand: dict[str, None] = {}  # entries read and not settled, in order
        self._in_hand_lock = threading.Lock()
        self._unsettled = threading.Event()  # a settlement failed: read the own pending list again
        self._events_an_entry = 1.0
        self.halted: HaltError | None = None
        name = f"{source.keys.name}-{source.keys.shard}"
        self._threads = [
            threading.Thread(target=self._run, args=(target,), name=f"{kind}-{name}")
            for kind, target in (("reader", self._read_forever), ("writer", self._write_forever))
        ]

    def start(self) -> None:
        """Start both threads."""
        for thread in self._threads:
            thread.start()

    def join(self, deadline: float) -> bool:
        """Wait for both threads until ``deadline`` (monotonic); whether they ended."""
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self, target: Callable[[], None]) -> None:
        try:
            target()
        except HaltError as error:
            log.error("loop.halted", stream=self._source.keys.stream, error=str(error))
            self.halted = error
        except Exception as error:
            log.exception("loop.failed", stream=self._source.keys.stream)
            self.halted = HaltError(f"stream {self._source.keys.stream}: {type(error).__name__}: {error}")
        finally:
            if self.halted is not None:
                self._stop.set()

    # -- the reader's thread

    def _read_forever(self) -> None:
        backoff = Backoff(self._stop.wait)
        outage = self._metrics.outage.labels(self._source.keys.name, "redis")
        fresh_connection = True
        while not self._stop.is_set():
            try:
                if fresh_connection:
                    self._reader.create_group()
                    self._take_pending()
                    fresh_connection = False
                    outage.set(0)
                    backoff.reset()
                self._read_round()
            except ResponseError as error:
                if not str(error).startswith("NOGROUP"):
                    self._note_redis_trouble(error)
                    backoff.pause()
                else:
                    log.error(
                        "group.lost", stream=self._source.keys.stream, next="Redis lost its data; made again at 0"
                    )
                fresh_connection = True
            except (RedisError, OSError) as error:
                self._note_redis_trouble(error)
                outage.set(1)
                fresh_connection = True
                backoff.pause()
        self._hand_over(None)

    def _note_redis_trouble(self, error: Exception) -> None:
        log.warning("redis.away", stream=self._source.keys.stream, error=f"{type(error).__name__}: {error}")

    def _read_round(self) -> None:
        if self._unsettled.is_set():
            self._unsettled.clear()
            self._take_pending()
        self._claim_when_due()
        entries = self._read_batch()
        if entries:
            self._prepare_and_hand_over(entries)

    def _read_batch(self) -> list[StreamEntry]:
        """New entries up to the bounds of a batch; waits a little for company, so that a batch is worth its transaction."""
        config = self._config
        entries = self._reader.read_new(self._count(0), BLOCK_MS)
        if not entries:
            return []
        deadline = time.monotonic() + config.batch_age_ms / 1000
        events, size = _measure(entries)
        while events < config.batch_events and size < config.batch_bytes and not self._stop.is_set():
            pause = deadline - time.monotonic()
            if pause > 0 and len(entries) < _MAX_ENTRIES:
                self._stop.wait(pause)
            more = self._reader.read_new(self._count(events), None)
            entries += more
            more_events, more_size = _measure(more)
            events, size = events + more_events, size + more_size
            if not more or time.monotonic() >= deadline:
                break
        self._events_an_entry = max(1.0, events / len(entries))
        return entries

    def _count(self, events: int) -> int:
        """How many entries to ask for, by what entries have held lately: a read is bounded in bytes too."""
        left = max(self._config.batch_events - events, 1)
        return max(1, min(int(left / self._events_an_entry), _MAX_ENTRIES))

    def _take_pending(self) -> None:
        """Hand over the own pending entries that are not in hand: replies that were lost, settlements that failed."""
        after = "0"
        while not self._stop.is_set():
            page = self._reader.read_pending(after)
            if not page:
                return
            after = page[-1].entry_id
            with self._in_hand_lock:
                lost = [entry for entry in page if entry.entry_id not in self._in_hand]
            if lost:
                log.info("entries.pending_again", stream=self._source.keys.stream, entries=len(lost))
                self._prepare_and_hand_over(lost)

    _next_claim = 0.0

    def _claim_when_due(self) -> None:
        now = time.monotonic()
        if now < self._next_claim:
            return
        idle_seconds = self._config.claim_idle_seconds
        self._next_claim = now + idle_seconds / 4
        with self._in_hand_lock:
            in_hand = list(self._in_hand)
        claimed = self._reader.claim_idle(int(idle_seconds * 1000), in_hand)
        if claimed:
            log.info("entries.claimed", stream=self._source.keys.stream, entries=len(claimed))
            self._metrics.claimed.labels(self._source.keys.name).inc(len(claimed))
            self._prepare_and_hand_over(claimed)

    def _prepare_and_hand_over(self, entries: list[StreamEntry]) -> None:
        with self._in_hand_lock:
            self._in_hand.update(dict.fromkeys(entry.entry_id for entry in entries))
        self._hand_over(self._source.sink.prepare(entries))

    def _hand_over(self, prepared: Prepared | None) -> None:
        """Give a batch to the writer; while it is busy, keep what is in hand from being taken over."""
        keep_at = time.monotonic() + self._config.claim_idle_seconds / 3
        while True:
            try:
                self._batches.put(prepared, timeout=_HAND_OVER_SECONDS)
                return
            except queue.Full:
                if self._stop.is_set() and not self._threads[1].is_alive():
                    return
                if time.monotonic() >= keep_at:
                    keep_at = time.monotonic() + self._config.claim_idle_seconds / 3
                    self._keep_in_hand()

    def _keep_in_hand(self) -> None:
        with self._in_hand_lock:
            in_hand = sorted(self._in_hand, key=_id_order)
        try:
            self._reader.keep(in_hand)
        except (RedisError, OSError) as error:
            self._note_redis_trouble(error)

    # -- the writer's thread

    def _write_forever(self) -> None:
        connection: Connection[Any] | None = None
        while (prepared := self._batches.get()) is not None:
            stored, connection = self._store(prepared, connection)
            if stored is not None:
                self._settle(stored)
            with self._in_hand_lock:
                for entry in prepared.entries:
                    self._in_hand.pop(entry.entry_id, None)
        if connection is not None:
            connection.close()

    def _store(
        self, prepared: Prepared, connection: Connection[Any] | None
    ) -> tuple[Stored | None, Connection[Any] | None]:
        """Write a batch, waiting for as long as PostgreSQL is away; None when a stop came first: it stays pending."""
        name = self._source.keys.name
        outage = self._metrics.outage.labels(name, "postgresql")
        backoff = Backoff(self._stop.wait)
        while True:
            try:
                if connection is None or connection.closed:
                    connection = self._connect()
                started = time.perf_counter()
                stored = store(connection, self._source, prepared, self._forget_partitions)
                self._metrics.batch_seconds.labels(name).observe(time.perf_counter() - started)
                outage.set(0)
                return stored, connection
            except psycopg.Error as error:
                outage.set(1)
                log.warning(
                    "postgresql.away", stream=self._source.keys.stream, sqlstate=error.sqlstate,
                    error=f"{type(error).__name__}: {str(error).strip()}",
                )  # fmt: skip
                if connection is not None:
                    connection.close()
                connection = None
                if self._stop.is_set():
                    return None, None
                backoff.pause()

    def _settle(self, stored: Stored) -> None:
        name = self._source.keys.name
        try:
            self._settlement.settle(stored.settled)
            for entry, failures in stored.parked:
                if self._settlement.park(entry, failures):
                    self._metrics.failed.labels(name).inc(len(failures))
                    log.warning(
                        "events.failed", stream=self._source.keys.stream, entry=entry.entry_id, events=len(failures),
                        reason=failures[0].reason, detail=failures[0].detail,
                    )  # fmt: skip
        except (RedisError, OSError) as error:
            # Committed all the same: the entries stay pending, come again, and the fence makes that a no-op.
            self._note_redis_trouble(error)
            self._unsettled.set()
            return
        events = sum(entry.events for entry in stored.settled)
        self._metrics.settled.labels(name).inc(events)
        self._metrics.batch_events.labels(name).observe(events)
        if stored.redelivered:
            self._metrics.redelivered.labels(name).inc(stored.redelivered)

    def leave(self) -> None:
        """After ``join``: remove the consumer if nothing of it is pending, and close both clients."""
        try:
            if not self._reader.leave():
                log.info("consumer.stays", stream=self._source.keys.stream, next="its pending entries will be claimed")
        except (RedisError, OSError) as error:
            self._note_redis_trouble(error)
        self._reader_redis.close()
        self._writer_redis.close()


def _measure(entries: list[StreamEntry]) -> tuple[int, int]:
    return sum(entry.events for entry in entries), sum(len(entry.blob or b"") for entry in entries)


def _id_order(entry_id: str) -> tuple[int, int]:
    ms, _, seq = entry_id.partition("-")
    return int(ms), int(seq)
