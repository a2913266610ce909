"""What the processors of an earlier `weir up` held when it was killed: given free at once, not after an idle time."""

from typing import Any, Final, cast

import redis
from redis.exceptions import ResponseError

from shared.redis_keys import GROUP, ShardKeys

_PAGE: Final = 1000


def release_left_entries(client: redis.Redis, shards: int, idle_seconds: float) -> int:
    """Make every pending entry look idle for so long, so that the first look of a processor claims it; how many.

    To be called only while no processor lives, as before the start on an embedded Redis, which is ours alone. Owners
    and counts of deliveries stay. Raises redis.RedisError.
    """
    idle_ms = int(idle_seconds * 1000) + 1
    return sum(
        _release(client, keys.stream, idle_ms) for shard in map(ShardKeys, range(shards)) for keys in shard.streams
    )


def _release(client: redis.Redis, stream: str, idle_ms: int) -> int:
    released, start = 0, "-"
    while page := _pending(client, stream, start):
        start = f"({page[-1]['message_id'].decode()}"
        held: dict[bytes, list[bytes]] = {}
        for row in page:
            held.setdefault(row["consumer"], []).append(row["message_id"])
        for consumer, entry_ids in held.items():
            # JUSTID: a delivery that nobody made is not counted
            client.xclaim(stream, GROUP, consumer.decode(), 0, cast(Any, entry_ids), idle=idle_ms, justid=True)
        released += len(page)
    return released


def _pending(client: redis.Redis, stream: str, start: str) -> list[dict[str, Any]]:
    try:
        return cast(list[dict[str, Any]], client.xpending_range(stream, GROUP, start, "+", _PAGE))
    except ResponseError as error:
        if str(error).startswith("NOGROUP"):  # the first start: there is no stream yet
            return []
        raise
