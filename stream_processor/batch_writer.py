"""The writer's half of a loop: it stores the batches it is handed and settles their entries, in order."""

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import structlog
from psycopg import Connection
from redis.exceptions import RedisError

from stream_processor.backoff import Backoff
from stream_processor.crash_points import CrashPoint, reach
from stream_processor.crash_trial import CrashTrial
from stream_processor.entries import Prepared, Source
from stream_processor.failure_decision import Decision, decide, may_be_too_much
from stream_processor.failure_limit import FailureWindow
from stream_processor.in_hand import InHand
from stream_processor.metrics import ProcessorMetrics
from stream_processor.ownership import Ownership
from stream_processor.portions import PortionSize
from stream_processor.settlement import Settlement
from stream_processor.standstill import Standstill
from stream_processor.storage import Stored, refuse_schema, store

log = structlog.get_logger()


class BatchWriter:
    """Runs in one thread, with one connection that it opens, replaces and closes itself."""

    def __init__(
        self,
        source: Source,
        settlement: Settlement,
        connect: Callable[[], Connection[Any]],
        forget_partitions: Callable[[], None],
        batches: "queue.Queue[Prepared | None]",
        in_hand: InHand,
        metrics: ProcessorMetrics,
        stop: threading.Event,
        window: FailureWindow,
        ownership: Ownership,
        standstill: Standstill,
        trial: CrashTrial | None = None,
    ) -> None:
        self._source = source
        self._settlement = settlement
        self._connect = connect
        self._forget_partitions = forget_partitions
        self._batches = batches
        self._in_hand = in_hand
        self._metrics = metrics
        self._stop = stop
        self._connection: Connection[Any] | None = None
        self._gave_up = False
        self._window = window
        self._ownership = ownership
        self._standstill = standstill
        self._trial = trial
        self._size = PortionSize()

    def run(self) -> None:
        """Store until told that no batch will follow. Raises HaltError when a person has to act."""
        try:
            while (prepared := self._batches.get()) is not None:
                if not self._standstill.is_halted:  # else it stays pending, until the stream is resumed
                    self._write(prepared)
                self._in_hand.remove(prepared.entries)
        finally:
            self._disconnect()

    def _write(self, prepared: Prepared) -> None:
        """Store and settle a batch, waiting for as long as a server is away; after a stop the rest stays pending."""
        left = list(prepared.entries)
        backoff = Backoff(self._stop.wait)
        doubtful = False
        while left and not self._gave_up:
            portion = prepared.portion(left[: self._size.of(len(left))])
            try:
                stored = self._store(portion, doubtful=doubtful)
            except psycopg.Error as error:
                doubtful = True
                self._note_postgresql(error, len(portion.entries))
            except (RedisError, OSError) as error:  # only a trial, and a batch in doubt, ask Redis here
                self._metrics.outages.begin(self._source.keys.name, "redis", error)
                log.warning("batch.put_off", stream=self._source.keys.stream, error=f"{type(error).__name__}: {error}")
            else:
                self._size.written(len(portion.entries))
                left = left[len(portion.entries) :]
                backoff.reset()
                self._settle(stored)
                continue
            self._gave_up = self._stop.is_set()
            backoff.pause()

    def _store(self, portion: Prepared, *, doubtful: bool) -> Stored:
        name = self._source.keys.name
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
        started = time.perf_counter()
        asked = self._ownership if doubtful or self._ownership.is_doubtful(portion) else None
        stored = store(
            self._connection, self._source, portion, self._forget_partitions, self._trial, self._window, asked
        )
        self._metrics.batch_seconds.labels(name).observe(time.perf_counter() - started)
        self._metrics.outages.end(name, "postgresql")
        return stored

    def _note_postgresql(self, error: psycopg.Error, entries: int) -> None:
        """Decide about what PostgreSQL said. Raises HaltError when waiting cannot help."""
        self._disconnect()
        if decide(error) is not Decision.RETRY:
            raise refuse_schema(self._source, error) from error
        self._metrics.outages.begin(self._source.keys.name, "postgresql", error)
        log.warning(
            "postgresql.away", stream=self._source.keys.stream, sqlstate=error.sqlstate,
            error=f"{type(error).__name__}: {str(error).strip()}",
        )  # fmt: skip
        if may_be_too_much(error) and self._size.refused(entries):
            log.warning(
                "batch.halved", stream=self._source.keys.stream, entries=entries, sqlstate=error.sqlstate,
                next="if it comes again: see what keeps PostgreSQL busy, or lower EVENT_BATCH_SIZE",
            )  # fmt: skip

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _settle(self, stored: Stored) -> None:
        """Tell Redis, waiting for as long as it is away; after a stop they stay pending, and the fence knows them."""
        if stored.additions is not None:
            self._metrics.stored.count(stored.additions)
        backoff = Backoff(self._stop.wait)
        reach(CrashPoint.BEFORE_ACKNOWLEDGING)
        while True:
            try:
                self._settlement.settle(stored.settled)
                self._park(stored)
                break
            except (RedisError, OSError) as error:
                log.warning(
                    "entries.unsettled", stream=self._source.keys.stream, error=f"{type(error).__name__}: {error}"
                )
                if self._stop.is_set():
                    return
                self._metrics.outages.begin(self._source.keys.name, "redis", error)
                backoff.pause()
        self._count(stored)

    def _park(self, stored: Stored) -> None:
        for entry, failures in stored.parked:
            reach(CrashPoint.BEFORE_PARKING)
            if self._settlement.park(entry, failures):
                reach(CrashPoint.AFTER_PARKING)
                self._metrics.failed.labels(self._source.keys.name).inc(len(failures))
                log.warning(
                    "events.failed", stream=self._source.keys.stream, entry=entry.entry_id, events=len(failures),
                    reason=failures[0].reason, detail=failures[0].detail,
                )  # fmt: skip

    def _count(self, stored: Stored) -> None:
        name = self._source.keys.name
        events = sum(entry.events for entry in stored.settled)
        self._metrics.settled.labels(name).inc(events)
        self._metrics.batch_events.labels(name).observe(events)
        if stored.redelivered:
            self._metrics.redelivered.labels(name).inc(stored.redelivered)
