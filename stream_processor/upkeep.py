"""What one processor at a time does beside storing: rollups are compacted, accepted counts moved, the fence pruned."""

import threading
import time
from collections.abc import Callable
from typing import Any, Final

import psycopg
import redis
import structlog
from psycopg import Connection
from redis.exceptions import RedisError

from shared.redis_keys import ShardKeys
from stream_processor.accepted_counts import AcceptedCounts
from stream_processor.fence_pruning import prune_fence
from stream_processor.rollup_compaction import compact_rollups, compaction_target

log = structlog.get_logger()

_INTERVAL_SECONDS: Final = 15.0


class Upkeep:
    """Rounds of upkeep, in a thread of its own. The advisory lock of the round's connection makes one leader."""

    def __init__(
        self,
        shards: int,
        make_redis: Callable[[], redis.Redis],
        connect: Callable[[], Connection[Any]],
        fence_days: int = 1,
    ) -> None:
        self._fence_days = fence_days
        self._redis = make_redis()
        self._connect = connect
        self._shards = [ShardKeys(shard) for shard in range(shards)]
        self._counts = [AcceptedCounts(self._redis, shard) for shard in range(shards)]

    def run(self, stop: threading.Event, done: Callable[[], None]) -> None:
        """A round at every interval until stopped, each told to ``done``; a server that is away is waited for."""
        while not stop.wait(_INTERVAL_SECONDS):
            try:
                if self.round(time.time()):
                    done()
            except (psycopg.Error, RedisError, OSError) as error:
                log.warning("upkeep.put_off", error=f"{type(error).__name__}: {str(error).strip()}")

    def round(self, now_seconds: float) -> bool:
        """One round, unless another processor is at it; whether it was done. Raises psycopg.Error, redis.RedisError."""
        with self._connect() as connection:  # closing it gives the lock back
            row = connection.execute("SELECT pg_try_advisory_lock(hashtext('weir.upkeep'))").fetchone()
            if row is None or not row[0]:
                return False
            compact_rollups(connection, compaction_target(now_seconds))
            moved = sum(counts.move(connection, now_seconds) for counts in self._counts)
            streams = [keys for shard in self._shards for keys in shard.streams]
            pruned = sum(prune_fence(connection, self._redis, keys, self._fence_days) for keys in streams)
            if moved or pruned:
                log.debug("upkeep.done", accepted_counts_moved=moved, fence_rows_pruned=pruned)
            return True
