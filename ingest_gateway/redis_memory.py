"""How full Redis is: the gateway says "later" before Redis refuses, so that processors keep the room they need."""

import asyncio
from typing import Any, Final

import redis.asyncio
import structlog
from redis.exceptions import RedisError

from shared.redis_nodes import has_nodes, shard_node

log = structlog.get_logger()

_INTERVAL_SECONDS: Final = 1.0
_SHARE_OF_MAXMEMORY: Final = 0.9


class RedisMemory:
    """What the last look saw, of the server that has one shard; a plain Redis has all."""

    def __init__(self, client: "redis.asyncio.Redis", limit_bytes: int, shard: int = 0) -> None:
        """``limit_bytes`` 0 is nine tenths of the server's maxmemory, if it has one."""
        self._redis = client
        self._shard = shard
        self._limit_bytes = limit_bytes
        self.is_full = False
        self.is_reachable = False
        self.used_bytes = self.max_bytes = 0
        self.limit_bytes = limit_bytes

    async def watch(self) -> None:
        """Look once a second, until cancelled. While Redis is away, what was seen last stands."""
        while True:
            try:
                await self.look()
            except (RedisError, OSError) as error:
                self.is_reachable = False
                log.debug("redis.memory_unknown", error=type(error).__name__)
            await asyncio.sleep(_INTERVAL_SECONDS)

    async def look(self) -> None:
        """One look. Raises redis.RedisError."""
        node = await shard_node(self._redis, self._shard)
        told: dict[str, Any] = await node.info("memory")
        self.is_reachable = True
        self.max_bytes = int(told.get("maxmemory", 0))
        limit_bytes = self.limit_bytes = self._limit_bytes or int(self.max_bytes * _SHARE_OF_MAXMEMORY)
        used_bytes = self.used_bytes = int(told["used_memory"])
        is_full = bool(limit_bytes) and used_bytes >= limit_bytes
        if is_full != self.is_full:
            log.warning(
                "redis.full" if is_full else "redis.has_room", used_bytes=used_bytes, limit_bytes=limit_bytes,
                next="events are answered 503 backlog-full" if is_full else "events are accepted again",
            )  # fmt: skip
        self.is_full = is_full

    @property
    def share(self) -> float:
        """How full it is: 1.0 at the limit; 0.0 without one."""
        return self.used_bytes / self.limit_bytes if self.limit_bytes else 0.0


def shard_memories(client: "redis.asyncio.Redis", limit_bytes: int, shards: int) -> list[RedisMemory]:
    """The memory of each shard's server; that of a plain Redis is one object, to be watched once."""
    if has_nodes(client):
        return [RedisMemory(client, limit_bytes, shard) for shard in range(shards)]
    return [RedisMemory(client, limit_bytes)] * shards
