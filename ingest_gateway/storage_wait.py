"""``Prefer: wait=N``: waiting until a request's events are stored. Costs nothing for those who do not ask."""

import asyncio
import time
from typing import Final

import redis.asyncio
from redis.exceptions import RedisError

from ingest_gateway.publisher import Published
from shared.redis_functions import RedisFunction
from shared.redis_keys import ShardKeys

_FIRST_PAUSE_SECONDS: Final = 0.01
_LONGEST_PAUSE_SECONDS: Final = 0.1


class StorageWait:
    """Asks Redis, at growing intervals, whether the entries of a request are settled."""

    def __init__(self, client: "redis.asyncio.Redis") -> None:
        self._redis = client
        self._state = RedisFunction("ingest_gateway", "entry_state")

    async def until_stored(self, published: Published, shard: int, seconds: float) -> bool:
        """Whether all events are committed within the time. False too when one failed, or when Redis cannot say."""
        keys = ShardKeys(shard)
        deadline = time.monotonic() + seconds
        result = published.result
        ids = [(duplicate.ms, duplicate.seq) for duplicate in result.duplicates]
        if result.kept:
            ids.append((published.ms, published.entry_seq))
        pause = _FIRST_PAUSE_SECONDS
        for ms, seq in ids:
            while (state := await self._ask(keys, ms, seq)) == b"waiting" and time.monotonic() < deadline:
                await asyncio.sleep(min(pause, max(deadline - time.monotonic(), 0)))
                pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
            if state != b"settled":
                return False
        return True

    async def _ask(self, keys: ShardKeys, ms: int, seq: int) -> bytes:
        try:
            state: bytes = await self._state.call_async(self._redis, [keys.events.stream, keys.parked], ms, seq)
        except RedisError:
            return b"unknown"
        return state
