"""Removing the rows of the fence that no entry can need any more: one is added with every publisher call."""

from typing import Any, Final

import redis
from psycopg import Connection

from shared.redis_keys import StreamKeys
from shared.sql_files import load_sql
from shared.stream_status import parse_entry_id
from stream_processor.owed_failures import restore_owed

CHUNK_ROWS: Final = 5000
MAX_CHUNKS: Final = 40
"""A round's bound: what is left is there the next time."""


def prune_fence(connection: Connection[Any], client: "redis.Redis", keys: StreamKeys, keep_days: int = 1) -> int:
    """Delete rows older than ``keep_days`` of entries that have left their stream; how many. Chunks of CHUNK_ROWS.

    Ids rise, and an entry leaves its stream only when it is settled: what is older than the first entry cannot come
    back. A stream that is not there, as after Redis lost its data, says nothing, and nothing is deleted. Failures that
    are all that is left of their entry are put on the dead stream first. Raises psycopg.Error and redis.RedisError.
    """
    restore_owed(connection, client, keys)
    first_ms = _first_ms(client, keys)
    deleted = 0
    for _ in range(MAX_CHUNKS):
        cursor = connection.execute(
            load_sql("stream_processor", "prune_fence"),
            {"stream": keys.stream, "first_ms": first_ms, "keep_days": keep_days, "rows": CHUNK_ROWS},
        )
        deleted += cursor.rowcount
        if cursor.rowcount < CHUNK_ROWS:
            break
    return deleted


def _first_ms(client: "redis.Redis", keys: StreamKeys) -> int:
    """The ms part of the first entry's id; of an empty stream's last id; 0 when Redis knows nothing of it."""
    pipeline = client.pipeline(transaction=True)
    pipeline.xrange(keys.stream, count=1)
    pipeline.hget(keys.totals, "last_ms")
    first, last_ms = pipeline.execute()
    return parse_entry_id(first[0][0])[0] if first else int(last_ms or 0)
