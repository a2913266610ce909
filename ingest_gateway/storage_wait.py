"""``Prefer: wait=N``: waiting until a request's events are stored. Costs nothing for those who do not ask."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final, cast

import redis.asyncio
from redis.exceptions import RedisError

from ingest_gateway.publisher import Published
from shared.redis_functions import RedisFunction
from shared.redis_keys import GROUP, ShardKeys

_FIRST_PAUSE_SECONDS: Final = 0.01
_LONGEST_PAUSE_SECONDS: Final = 0.1
_AT_FULL_PACE: Final = 100
"""With more requests waiting than this, each asks more seldom: Redis is asked about 1000 times a second at most."""
MAX_WAITING_IDS: Final = 1_000_000
"""Events of all requests that wait in one process; beyond, a request does not wait and gets its 202."""


class StorageWait:
    """Asks Redis, at growing intervals, whether the entries of a request are settled."""

    def __init__(self, client: "redis.asyncio.Redis") -> None:
        self._redis = client
        self._state = RedisFunction("ingest_gateway", "entry_state")
        self._waiting = self._waiting_ids = 0

    async def until_stored(self, published: Published, ids: Sequence[str], shard: int, seconds: float) -> bool:
        """Whether all events of the request, repeats of earlier ones too, are committed within the time.

        ``ids`` are the request's, ``client NUL event_id``. False too when one failed, when Redis lost its data
        meanwhile, when too many wait already, or when it cannot say. Raises nothing.
        """
        if self._waiting_ids + len(ids) > MAX_WAITING_IDS:
            return False
        self._waiting += 1
        self._waiting_ids += len(ids)
        try:
            return await self._wait(published, ids, shard, seconds)
        finally:
            self._waiting -= 1
            self._waiting_ids -= len(ids)

    async def _wait(self, published: Published, ids: Sequence[str], shard: int, seconds: float) -> bool:
        keys = ShardKeys(shard)
        deadline = time.monotonic() + seconds
        result = published.result
        waited_for = {(duplicate.ms, duplicate.seq) for duplicate in result.duplicates}
        if result.kept:
            waited_for.add((published.ms, published.entry_seq))
            ids = [*ids, f"{published.ms}-{published.entry_seq}"]
        try:
            for ms, seq in sorted(waited_for):
                if not await self._is_settled(keys, ms, seq, deadline):
                    return False
            return not await self._any_failed(keys, ids)
        except (RedisError, OSError):
            return False

    async def _is_settled(self, keys: ShardKeys, ms: int, seq: int, deadline: float) -> bool:
        pause = _FIRST_PAUSE_SECONDS
        while (state := await self._ask(keys, ms, seq)) == b"waiting" and time.monotonic() < deadline:
            await asyncio.sleep(min(pause, max(deadline - time.monotonic(), 0)))
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS * max(1.0, self._waiting / _AT_FULL_PACE))
        return state == b"settled"

    async def _ask(self, keys: ShardKeys, ms: int, seq: int) -> bytes:
        names = [keys.events.stream, keys.events.totals]
        return cast(bytes, await self._state.call_async(self._redis, names, GROUP, ms, seq))

    async def _any_failed(self, keys: ShardKeys, ids: Sequence[str]) -> bool:
        """Asked last: a failed event is named there in the step that settles its entry."""
        if not ids:
            return False
        scores = await self._redis.zmscore(keys.parked, list(ids))
        return any(score is not None for score in scores)
