"""How full Redis is: the gateway says "later" before Redis refuses, so that processors keep the room they need."""

import asyncio
from typing import Any, Final

import redis.asyncio
import structlog
from redis.exceptions import RedisError

log = structlog.get_logger()

_INTERVAL_SECONDS: Final = 1.0
_SHARE_OF_MAXMEMORY: Final = 0.9


class RedisMemory:
    """What the last look saw. With several Redis nodes it is that of the one the client talks to."""

    def __init__(self, client: "redis.asyncio.Redis", limit_bytes: int) -> None:
        """``limit_bytes`` 0 is nine tenths of the server's maxmemory, if it has one."""
        self._redis = client
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
        told: dict[str, Any] = await self._redis.info("memory")
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
