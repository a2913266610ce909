"""Which shards hold something, whatever WEIR_STREAM_SHARDS says now: it may have been greater."""

from typing import Final

import redis

from shared.redis_keys import ShardKeys

MOST_SHARDS: Final = 1024
"""What WEIR_STREAM_SHARDS allows."""


def shards_beyond(client: "redis.Redis", shards: int) -> list[int]:
    """The shards from this number on whose streams or accepted counts are not empty. Two round trips.

    Raises redis-py's errors.
    """
    beyond = [ShardKeys(shard) for shard in range(shards, MOST_SHARDS)]
    with client.pipeline(transaction=False) as pipeline:
        for keys in beyond:
            pipeline.exists(*(stream.stream for stream in keys.streams), keys.accepted)
        known = [keys for keys, found in zip(beyond, pipeline.execute(), strict=True) if found]
        for keys in known:
            for stream in keys.streams:
                pipeline.xlen(stream.stream)
            pipeline.hlen(keys.accepted)
        lengths = iter(pipeline.execute() if known else ())
    held = zip(known, zip(*[lengths] * 4, strict=True), strict=True)
    return [keys.shard for keys, found in held if any(found)]


def all_shards(client: "redis.Redis", shards: int) -> int:
    """As many shards as it takes to have all that hold something, and no fewer than ``shards``."""
    return max(shards_beyond(client, shards), default=shards - 1) + 1
