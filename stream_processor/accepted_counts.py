"""Moving the accepted counts from Redis to PostgreSQL, where one side of the balance meets the other."""

from itertools import islice
from typing import Any, Final

import redis
from psycopg import Connection

from shared.accepted_counts import Account, read_accepted
from shared.redis_functions import RedisFunction
from shared.redis_keys import ShardKeys
from shared.sql_files import load_sql

COPIED_AFTER_SECONDS: Final = 60
"""After a minute's end; what Redis loses with its data is not more than that."""
DROPPED_AFTER_SECONDS: Final = 900
"""After a minute's end. A request counts in the minute of its first byte, and takes less than this to arrive."""
_CHUNK: Final = 1000


class AcceptedCounts:
    """The counts of one shard. Every step may be repeated, or be left by one process and taken up by another."""

    def __init__(self, client: "redis.Redis", shard: int) -> None:
        self._redis = client
        self._shard = shard
        self._key = ShardKeys(shard).accepted
        self._drop = RedisFunction("stream_processor", "drop_accepted", when_full=True)
        self._copied: dict[Account, int] = {}

    def move(self, connection: Connection[Any], now_seconds: float) -> int:
        """Copy what has ended, then remove from Redis what ended a while ago and is unchanged; how many were removed.

        Raises psycopg.Error and redis.RedisError.
        """
        counts = read_accepted(self._redis, self._key)
        ended = {key: count for key, count in counts.items() if _age(key, now_seconds) >= COPIED_AFTER_SECONDS}
        self._copy(connection, {key: count for key, count in ended.items() if self._copied.get(key) != count})
        self._copied = ended
        return self._remove(
            {key: count for key, count in ended.items() if _age(key, now_seconds) >= DROPPED_AFTER_SECONDS}
        )

    def _copy(self, connection: Connection[Any], counts: dict[Account, int]) -> None:
        for chunk in _chunks(counts):
            minutes, client_ids = zip(*chunk, strict=True)
            connection.execute(
                load_sql("stream_processor", "copy_accepted"),
                {
                    "shard": self._shard,
                    "minutes": list(minutes),
                    "client_ids": list(client_ids),
                    "accepted": list(chunk.values()),
                },
            )

    def _remove(self, counts: dict[Account, int]) -> int:
        removed = 0
        for chunk in _chunks(counts):
            pairs = [part for (minute, client_id), n in chunk.items() for part in (f"{minute}:{client_id}", n)]
            removed += self._drop.call(self._redis, [self._key], *pairs)
        return removed


def _age(account: Account, now_seconds: float) -> float:
    """Since the minute's end, in seconds."""
    return now_seconds - (account[0] + 1) * 60


def _chunks(counts: dict[Account, int]) -> list[dict[Account, int]]:
    pairs = iter(sorted(counts.items()))
    return [dict(islice(pairs, _CHUNK)) for _ in range(0, len(counts), _CHUNK)]
