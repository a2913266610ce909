"""The loop that serves one stream: one thread reads and prepares the next batch while the other writes this one.

When it may not go on, because its stream is held or one of the two failed, both threads end; what they leave is
pending, and the first thing that new ones take up.
"""

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import redis
import structlog
from psycopg import Connection
from redis.exceptions import RedisError

from shared.errors import HaltError
from stream_processor.batch_reader import BLOCK_MS, BatchReader
from stream_processor.batch_writer import BatchWriter
from stream_processor.config import ProcessorConfig
from stream_processor.crash_trial import CrashTrial
from stream_processor.entries import Prepared, Source
from stream_processor.event_sink import EventSink
from stream_processor.failure_limit import FailureWindow
from stream_processor.in_hand import InHand
from stream_processor.losses import Losses
from stream_processor.metrics import ProcessorMetrics
from stream_processor.ownership import Ownership
from stream_processor.settlement import Settlement
from stream_processor.standstill import Standstill
from stream_processor.stream_reader import StreamReader
from stream_processor.trial_gate import TrialGate
from stream_processor.trial_marks import TrialMarks

__all__ = ["BLOCK_MS", "StreamLoop"]

log = structlog.get_logger()


class StreamLoop:
    """Reads, prepares, stores and settles one stream until stopped. ``start`` and ``join`` from one thread.

    Its threads are daemons: a process that has drained for long enough ends, even while a server leaves a call open.
    """

    def __init__(
        self,
        config: ProcessorConfig,
        source: Source,
        make_redis: Callable[[], redis.Redis],
        connect: Callable[[], Connection[Any]],
        forget_partitions: Callable[[], None],
        metrics: ProcessorMetrics,
        stop: threading.Event,
        gate: TrialGate,
    ) -> None:
        self._config = config
        self._source = source
        self._connect = connect
        self._forget_partitions = forget_partitions
        self._metrics = metrics
        self._stop = stop
        self._gate = gate
        self._reader_redis, self._writer_redis = make_redis(), make_redis()
        self._reader = StreamReader(self._reader_redis, source.keys, config.consumer)
        self._standstill = Standstill(self._reader_redis, source.keys, config.consumer, metrics.outages, stop)
        self._name = f"{source.keys.name}-{source.keys.shard}"
        self._thread = threading.Thread(target=self._serve, name=f"loop-{self._name}", daemon=True)

    def start(self) -> None:
        """Start serving."""
        self._thread.start()

    def join(self, deadline: float) -> bool:
        """Wait until it has ended, or until ``deadline`` (monotonic); whether it has."""
        self._thread.join(max(deadline - time.monotonic(), 0))
        return not self._thread.is_alive()

    def leave(self) -> None:
        """After ``join``: remove the consumer if nothing of it is pending, and close both clients."""
        stream = self._source.keys.stream
        try:
            if not self._reader.leave():
                log.info("consumer.stays", stream=stream, next="its pending entries will be claimed")
        except (RedisError, OSError) as error:
            log.warning("consumer.stays", stream=stream, error=f"{type(error).__name__}: {error}")
        self._reader_redis.close()
        self._writer_redis.close()

    def _serve(self) -> None:
        while not self._stop.is_set():
            self._standstill.await_free()
            if not self._stop.is_set():
                halt = self._make_halves().run(self._name)
                if halt is not None:
                    self._standstill.halt(halt)

    def _make_halves(self) -> "_Halves":
        """A reader and a writer with nothing in hand."""
        config, source, metrics = self._config, self._source, self._metrics
        batches: queue.Queue[Prepared | None] = queue.Queue(maxsize=1)
        in_hand, over = InHand(), threading.Event()
        trial = None
        if isinstance(source.sink, EventSink):  # the other streams hold what Weir made, and run through no other's code
            trial = CrashTrial(source.sink, TrialMarks(self._writer_redis, source.keys, config.consumer), self._gate)
        settlement = Settlement(self._writer_redis, source, config.parked_names)
        writer = BatchWriter(
            source, settlement, self._connect, self._forget_partitions, batches, in_hand,
            metrics, self._stop, FailureWindow(config.failure_limit, source.keys.stream),
            Ownership(self._writer_redis, source.keys, config.consumer, config.claim_idle_seconds), self._standstill,
            trial,
        )  # fmt: skip
        reader = BatchReader(
            config, source, self._reader, Losses(self._reader_redis, source.keys, config.consumer), batches, in_hand,
            metrics, self._stop, over, self._standstill, self._gate, tries_alone=trial is not None,
        )  # fmt: skip
        return _Halves(reader.run, writer.run, over)


class _Halves:
    """One reader and one writer, for as long as both go well."""

    def __init__(self, read: Callable[[], None], write: Callable[[], None], writer_over: threading.Event) -> None:
        self._read, self._write, self._writer_over = read, write, writer_over
        self._halt: HaltError | None = None

    def run(self, name: str) -> HaltError | None:
        """Run both until they have ended; why, if not because they were asked to."""
        threads = [
            threading.Thread(target=self._run, args=half, name=f"{kind}-{name}", daemon=True)
            for kind, half in (("writer", (self._write, self._writer_over)), ("reader", (self._read, None)))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self._halt

    def _run(self, half: Callable[[], None], over: threading.Event | None) -> None:
        try:
            half()
        except HaltError as error:
            self._halt = error
        except Exception as error:
            log.exception("loop.failed")
            self._halt = HaltError(f"{threading.current_thread().name}: {type(error).__name__}: {error}")
        finally:
            if over is not None:
                over.set()
