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
from stream_processor.failure_decision import Decision, decide
from stream_processor.failure_limit import FailureWindow
from stream_processor.in_hand import InHand
from stream_processor.metrics import ProcessorMetrics
from stream_processor.settlement import Settlement
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
        self._trial = trial

    def run(self) -> None:
        """Store until told that no batch will follow. Raises HaltError when a person has to act."""
        try:
            while (prepared := self._batches.get()) is not None:
                stored = self._store(prepared)
                if stored is not None:
                    self._settle(stored)
                self._in_hand.remove(prepared.entries)
        finally:
            self._disconnect()

    def _store(self, prepared: Prepared) -> Stored | None:
        """Write a batch, waiting for as long as a server is away; None when a stop came first: it stays pending."""
        name = self._source.keys.name
        backoff = Backoff(self._stop.wait)
        while not self._gave_up:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = self._connect()
                started = time.perf_counter()
                stored = store(
                    self._connection, self._source, prepared, self._forget_partitions, self._trial, self._window
                )
                self._metrics.batch_seconds.labels(name).observe(time.perf_counter() - started)
                self._metrics.outages.end(name, "postgresql")
                return stored
            except psycopg.Error as error:
                self._disconnect()
                if decide(error) is not Decision.RETRY:
                    raise refuse_schema(self._source, error) from error
                self._metrics.outages.begin(name, "postgresql", error)
                log.warning(
                    "postgresql.away", stream=self._source.keys.stream, sqlstate=error.sqlstate,
                    error=f"{type(error).__name__}: {str(error).strip()}",
                )  # fmt: skip
                self._gave_up = self._stop.is_set()
                backoff.pause()
            except (RedisError, OSError) as error:  # only a trial asks Redis here
                self._metrics.outages.begin(name, "redis", error)
                log.warning("trial.put_off", stream=self._source.keys.stream, error=f"{type(error).__name__}: {error}")
                self._gave_up = self._stop.is_set()
                backoff.pause()
        return None

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
