"""A processor's heartbeat: what it is at, told to Redis once a second, in a thread and on a connection of its own."""

import socket
import threading
import time
from typing import Any, Final

import redis
import structlog
from redis.exceptions import RedisError

from shared.processor_status import HEARTBEAT_KEPT_SECONDS, HEARTBEAT_SECONDS
from shared.redis_keys import ShardKeys
from stream_processor.metrics import ProcessorMetrics

log = structlog.get_logger()

_SETTLED: Final = "weir_processor_events_settled_total"


class Heartbeat:
    """``run`` serves one thread until stopped; ``last`` is for after it has ended. Neither raises for an outage."""

    def __init__(self, client: redis.Redis, consumer: str, metrics: ProcessorMetrics) -> None:
        self._redis = client
        self._key = ShardKeys(0).processor(consumer)
        self._metrics = metrics
        self._before = (time.monotonic(), 0.0)

    def run(self, stop: threading.Event) -> None:
        """Beat until stopped."""
        self._beat(HEARTBEAT_KEPT_SECONDS)
        while not stop.wait(HEARTBEAT_SECONDS):
            self._beat(HEARTBEAT_KEPT_SECONDS)

    def last(self) -> None:
        """Leave nothing: a hold stands in Redis for itself."""
        try:
            self._redis.delete(self._key)
        except (RedisError, OSError) as error:
            log.debug("heartbeat.stays", error=type(error).__name__, seconds=HEARTBEAT_KEPT_SECONDS)

    def _beat(self, kept_seconds: int) -> None:
        outages = self._metrics.outages
        facts: dict[Any, Any] = {  # redis-py's type is a union that no plain dict is
            "host": socket.gethostname(),
            "state": outages.state.value,
            "rate": f"{self._rate():.1f}",
            "last_error": outages.last_error,
            "held": outages.held,
        }
        try:
            with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.hset(self._key, mapping=facts)
                pipeline.expire(self._key, kept_seconds)
                pipeline.execute()
        except (RedisError, OSError) as error:  # the loops tell of it, loudly; a beat that is missed says the same
            log.debug("heartbeat.missed", error=type(error).__name__)

    def _rate(self) -> float:
        now, settled = time.monotonic(), self._metrics.registry.get_sample_value(_SETTLED, {"stream": "events"}) or 0.0
        (then, settled_then), self._before = self._before, (now, settled)
        return (settled - settled_then) / max(now - then, 0.001)
