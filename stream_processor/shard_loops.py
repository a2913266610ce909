"""The loops of a processor: one for each stream of each shard, also of shards that the settings have forgotten."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import redis
import structlog
from psycopg import Connection
from redis.exceptions import RedisError

from shared.redis_keys import ShardKeys
from shared.shards_in_use import shards_beyond
from stream_processor.config import ProcessorConfig
from stream_processor.entries import Sink, Source
from stream_processor.metrics import ProcessorMetrics
from stream_processor.stream_loop import StreamLoop
from stream_processor.trial_gate import TrialGate

log = structlog.get_logger()

_LOOK_SECONDS: Final = 60.0
_UNHURRIED: Final = 10
"""Nobody waits for an audit row as for an event: its batches gather for so many times longer, and cost less."""


class ShardLoops:
    """Made for the shards of the settings; ``serve_beyond`` adds those that hold something all the same."""

    def __init__(
        self,
        config: ProcessorConfig,
        sinks: Mapping[str, Sink],
        make_redis: Callable[[], redis.Redis],
        connect: Callable[[], Connection[Any]],
        forget_partitions: Callable[[], None],
        metrics: ProcessorMetrics,
        stop: threading.Event,
    ) -> None:
        self._config = config
        self._sinks = sinks
        self._make_redis = make_redis
        self._connect = connect
        self._forget_partitions = forget_partitions
        self._metrics = metrics
        self._stop = stop
        self._gate = TrialGate()
        self._redis = make_redis()
        self._loops = {shard: self._make(shard) for shard in range(config.shards)}

    def start(self) -> None:
        """Start those of the settings."""
        for loop in self._all():
            loop.start()

    def join(self, deadline: float) -> bool:
        """Wait for all until ``deadline`` (monotonic), let those that ended leave; whether all have."""
        loops = self._all()
        ended = [loop.join(deadline) for loop in loops]
        for loop, has_ended in zip(loops, ended, strict=True):
            if has_ended:
                loop.leave()
        return all(ended)

    def serve_beyond(self, when_found: Callable[[int], None]) -> None:
        """Until stopped, serve what shards beyond the setting hold: it was greater, or is so at a gateway.

        ``when_found`` is told how many shards there are with those that were found.
        """
        while not self._stop.is_set():
            try:
                beyond = [one for one in shards_beyond(self._redis, self._config.shards) if one not in self._loops]
            except (RedisError, OSError):  # the loops tell of it
                self._stop.wait(1.0)
                continue
            for shard in beyond:
                log.warning(
                    "shard.beyond_setting", shard=shard, shards=self._config.shards,
                    next="it is served all the same; give WEIR_STREAM_SHARDS the same value everywhere",
                )  # fmt: skip
                loops = self._make(shard)
                for loop in loops:
                    loop.start()
                self._loops[shard] = loops
            if beyond:
                when_found(max(beyond) + 1)
            self._stop.wait(_LOOK_SECONDS)

    def _all(self) -> list[StreamLoop]:
        return [loop for loops in self._loops.values() for loop in loops]

    def _make(self, shard: int) -> list[StreamLoop]:
        keys_of = ShardKeys(shard)
        unhurried = replace(self._config, batch_age_ms=self._config.batch_age_ms * _UNHURRIED)
        return [
            StreamLoop(
                self._config if keys.name == "events" else unhurried,
                Source(keys, keys_of.dead, keys_of.parked, self._sinks[keys.name]),
                self._make_redis, self._connect, self._forget_partitions, self._metrics, self._stop, self._gate,
            )
            for keys in keys_of.streams
        ]  # fmt: skip
