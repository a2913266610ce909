"""A processor: one loop for each stream of each shard, until it is told to stop."""

import threading
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, Final

import psycopg
import redis
import structlog
from psycopg import Connection

from stream_processor.audit_sink import AuditSink
from stream_processor.config import ProcessorConfig
from stream_processor.enrich import Enricher
from stream_processor.entries import Sink
from stream_processor.event_sink import EventSink
from stream_processor.failed_event_sink import FailedEventSink
from stream_processor.heartbeat import Heartbeat
from stream_processor.maintenance import Maintenance
from stream_processor.metrics import ProcessorMetrics
from stream_processor.partitions import DayPartitions
from stream_processor.retry_schedule import RetrySchedule
from stream_processor.shard_loops import ShardLoops
from stream_processor.upkeep import Upkeep

log = structlog.get_logger()

_AHEAD_SECONDS: Final = 600


class Processor:
    """Owns the loops and their threads. ``make_redis`` and ``connect`` give clients and connections of their own."""

    def __init__(
        self,
        config: ProcessorConfig,
        make_redis: Callable[[], redis.Redis],
        connect: Callable[[], Connection[Any]],
        enrichers: Sequence[Enricher],
        retries: RetrySchedule | None = None,
    ) -> None:
        self._config = config
        self._retries = retries
        self._stop = threading.Event()
        self._stop_asked: SimpleQueue[None] = SimpleQueue()
        self.metrics = ProcessorMetrics()
        if retries is not None:
            retries.tell = self.metrics.retried.inc
        self._partitions = DayPartitions(connect)
        self._heartbeat = Heartbeat(make_redis(), config.consumer, self.metrics)
        self._maintenance = Maintenance(config.maintenance, connect, self.metrics.maintenance)
        self._make_redis, self._connect = make_redis, connect
        sinks: dict[str, Sink] = {
            "events": EventSink(enrichers, self._partitions),
            "audit": AuditSink(self._partitions),
            "dead": FailedEventSink(config.retry),
        }
        self._loops = ShardLoops(config, sinks, make_redis, connect, self._partitions.forget, self.metrics, self._stop)

    def stop(self) -> None:
        """Ask it to stop; safe in a signal handler, unlike Event.set: who is interrupted may hold the event's lock."""
        self._stop_asked.put(None)

    def run(self) -> None:
        """Serve until stopped, then drain: what is in hand is stored, or left pending if that takes too long.

        A loop that halts, or is held, does not end it: it stands still and tells so, until it may go on.
        """
        log.info("processor.started", consumer=self._config.consumer, shards=self._config.shards)
        self._loops.start()
        for serve in (
            self._obey_stop, self._keep_partitions_ahead, self._retry_failed, self._keep_up, self._serve_beyond,
            self._maintain,
        ):  # fmt: skip
            threading.Thread(target=serve, name=serve.__name__, daemon=True).start()
        beat = threading.Thread(target=self._heartbeat.run, args=(self._stop,), name="heartbeat", daemon=True)
        beat.start()
        self._stop.wait()
        deadline = time.monotonic() + self._config.drain_seconds
        drained = self._loops.join(deadline)
        beat.join(1)
        self._heartbeat.last()
        log.info("processor.stopped", consumer=self._config.consumer, drained=drained)

    def _obey_stop(self) -> None:
        self._stop_asked.get()
        self._stop.set()

    def _keep_partitions_ahead(self) -> None:
        """In a thread of its own: PostgreSQL may leave it waiting, and a stop must not wait with it."""
        while not self._stop.wait(self._make_partitions_ahead()):
            pass

    def _retry_failed(self) -> None:
        """In a thread of its own, for the same reason."""
        while self._retries is not None and not self._stop.wait(self._retries.run_round()):
            pass

    def _keep_up(self) -> None:
        self._keep_up_shards(self._config.shards)

    def _keep_up_shards(self, shards: int) -> None:
        fence_days = self._config.maintenance.policy.fence_days
        upkeep = Upkeep(shards, self._make_redis, self._connect, fence_days)
        upkeep.run(self._stop, self.metrics.upkeep_at.set_to_current_time)

    def _serve_beyond(self) -> None:
        def keep_up(shards: int) -> None:
            threading.Thread(target=self._keep_up_shards, args=(shards,), name="upkeep-beyond", daemon=True).start()

        self._loops.serve_beyond(keep_up)

    def _maintain(self) -> None:
        self._maintenance.run(self._stop)

    def _make_partitions_ahead(self) -> float:
        """Make them, and say how long to wait until the next time."""
        try:
            for parent in ("events", "audit_logs"):
                self._partitions.ensure_ahead(parent)
        except psycopg.Error as error:
            log.warning("partitions.not_made", error=f"{type(error).__name__}: {str(error).strip()}")
            return 1.0
        return _AHEAD_SECONDS
