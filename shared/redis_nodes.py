"""The server behind a key, for the few commands that name none: what a cluster's client has several of.

A plain client is that of its one server. Others (``deploy.cluster``) have ``node_of``, and send what names a key, and
pipelines with a key in them, to the right node by themselves.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import redis
import redis.asyncio
from redis.exceptions import RedisError

from shared.redis_keys import ShardKeys

_FIND: Final = "node_of"


def has_nodes(client: "redis.Redis | redis.asyncio.Redis") -> bool:
    """Whether shards may be on different servers."""
    return hasattr(client, _FIND)


def node_of(client: "redis.Redis", key: str) -> "redis.Redis":
    """The client of the server that has the key, at this moment. Raises redis.ConnectionError if none has it."""
    find: Any = getattr(client, _FIND, None)
    found: redis.Redis = client if find is None else find(key)
    return found


async def node_of_async(client: "redis.asyncio.Redis", key: str) -> "redis.asyncio.Redis":
    """The same on an asyncio client."""
    find: Any = getattr(client, _FIND, None)
    found: redis.asyncio.Redis = client if find is None else await find(key)
    return found


async def shard_node(client: "redis.asyncio.Redis", shard: int) -> "redis.asyncio.Redis":
    """The client of the server that has the shard."""
    return await node_of_async(client, ShardKeys(shard).events.stream)


@dataclass(frozen=True, slots=True)
class ShardsAnswering:
    """Which of the shards that were asked answer; of a plain Redis one is asked, for all."""

    errors: Mapping[int, str]
    """Of those that do not, by shard: the names of what went wrong."""
    asked: int

    @property
    def any(self) -> bool:
        """Whether anything can be done."""
        return len(self.errors) < self.asked

    @property
    def text(self) -> str:
        """``ok``, ``down: ConnectionError``, or, while others answer, ``shards 1, 4 down: ConnectionError``."""
        kinds = ", ".join(sorted(set(self.errors.values())))
        if not self.any:
            return f"down: {kinds}"
        which = ", ".join(map(str, self.errors))
        return f"shard{'s' if len(self.errors) > 1 else ''} {which} down: {kinds}" if self.errors else "ok"


async def ping_shards(client: "redis.asyncio.Redis", shards: int, within_seconds: float) -> ShardsAnswering:
    """Ask the server of every shard. Never raises."""
    asked = range(shards if has_nodes(client) else 1)
    errors = await asyncio.gather(*(_ping(client, shard, within_seconds) for shard in asked))
    return ShardsAnswering({shard: error for shard, error in zip(asked, errors, strict=True) if error}, len(asked))


async def _ping(client: "redis.asyncio.Redis", shard: int, within_seconds: float) -> str:
    try:
        async with asyncio.timeout(within_seconds):
            await (await shard_node(client, shard)).ping()
    except (RedisError, OSError, TimeoutError) as error:
        return type(error).__name__
    return ""
