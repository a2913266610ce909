"""The loop that serves one stream: one thread reads and prepares the next batch while the other writes this one."""

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
from stream_processor.settlement import Settlement
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
        self._stream = source.keys.stream
        self._outages = metrics.outages
        self._standing = metrics.standing.labels(source.keys.name, "halted")
        self._stop = stop
        self._reader_redis, self._writer_redis = make_redis(), make_redis()
        self._reader = StreamReader(self._reader_redis, source.keys, config.consumer)
        batches: queue.Queue[Prepared | None] = queue.Queue(maxsize=1)
        in_hand = InHand()
        settlement = Settlement(self._writer_redis, source)
        trial = None
        if isinstance(source.sink, EventSink):  # the other streams hold what Weir made, and run through no other's code
            trial = CrashTrial(source.sink, TrialMarks(self._writer_redis, source.keys, config.consumer), gate)
        window = FailureWindow(config.failure_limit, source.keys.stream)
        writer = BatchWriter(
            source, settlement, connect, forget_partitions, batches, in_hand, metrics, stop, window, trial
        )
        losses = Losses(self._reader_redis, source.keys, config.consumer)
        reader = BatchReader(
            config, source, self._reader, losses, batches, in_hand, metrics, stop,
            lambda: not self._threads[1].is_alive(), gate, tries_alone=trial is not None,
        )  # fmt: skip
        self.halted: HaltError | None = None
        name = f"{source.keys.name}-{source.keys.shard}"
        self._threads = [
            threading.Thread(target=self._run, args=(half.run,), name=f"{kind}-{name}", daemon=True)
            for kind, half in (("reader", reader), ("writer", writer))
        ]

    def start(self) -> None:
        """Start both threads, the writer first: the reader looks whether it is there."""
        for thread in reversed(self._threads):
            thread.start()

    def join(self, deadline: float) -> bool:
        """Wait for both threads until ``deadline`` (monotonic); whether they ended."""
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))
        return not any(thread.is_alive() for thread in self._threads)

    def leave(self) -> None:
        """After ``join``: remove the consumer if nothing of it is pending, and close both clients."""
        try:
            if not self._reader.leave():
                log.info("consumer.stays", stream=self._stream, next="its pending entries will be claimed")
        except (RedisError, OSError) as error:
            log.warning("consumer.stays", stream=self._stream, error=f"{type(error).__name__}: {error}")
        self._reader_redis.close()
        self._writer_redis.close()

    def _run(self, half: Callable[[], None]) -> None:
        try:
            half()
        except HaltError as error:
            log.error("loop.halted", stream=self._stream, error=str(error))  # noqa: TRY400  the error says it all
            self.halted = error
        except Exception as error:
            log.exception("loop.failed", stream=self._stream)
            self.halted = HaltError(f"stream {self._stream}: {type(error).__name__}: {error}")
        finally:
            if self.halted is not None:
                self._standing.set(1)
                self._outages.halt(self.halted)
                self._stop.set()
