"""Putting failed events back on the event stream of their client's shard.

The row in ``failed_events`` stays until the transaction that stores the event deletes it, so nothing is lost wherever
a replay dies: marked and not sent, it may be repeated after STALE_REPLAY; sent and not marked, the event is stored all
the same. A replay is no new acceptance: its event keeps its time of receipt, and the count moves there from failed to
stored.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final
from zlib import crc32

import redis.asyncio
from psycopg import AsyncConnection
from psycopg.rows import class_row, dict_row

from shared.failed_events import STALE_REPLAY, FailedEvent, Selection
from shared.redis_functions import RedisFunction
from shared.redis_keys import ShardKeys, shard_of
from shared.sql_files import load_sql
from shared.stream_entry import VERSION, Block, EventFrame, encode_blocks

PAGE: Final = 100
"""Events put back in one transaction: their payloads are in memory at once."""
_MAX_ENTRY_BYTES: Final = 4 * 1024 * 1024


class Replayer:
    """Finds failed events and puts them back. The connection is in autocommit; clients are the caller's to close."""

    def __init__(self, connection: AsyncConnection[Any], client: "redis.asyncio.Redis", shards: int) -> None:
        self._connection = connection
        self._redis = client
        self._shards = shards
        self._append = RedisFunction("shared", "replay_events")

    async def put_back(self, ids: Sequence[int], now: datetime, *, scheduled: bool = False) -> list[int]:
        """Put back at most PAGE events; those that another replay has in hand are passed over. The ids put back.

        Raises psycopg.Error and redis.RedisError: nothing is marked then, and some events may be on their way.
        """
        values = {"ids": list(ids), "now": now, "stale_before": now - STALE_REPLAY, "scheduled": int(scheduled)}
        async with self._connection.transaction(), self._connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(load_sql("shared", "mark_replays"), values)
            rows = await cursor.fetchall()
            by_shard: dict[int, list[Block]] = defaultdict(list)
            for row in rows:
                by_shard[shard_of(row["client_id"], self._shards)].append(_block(row))
            # inside the transaction: what cannot be sent is not marked either
            for shard, blocks in by_shard.items():
                for part in _entries(blocks):
                    keys = ShardKeys(shard).events
                    await self._append.call_async(
                        self._redis, [keys.stream, keys.totals], len(part), encode_blocks(part)
                    )
        return [row["id"] for row in rows]


async def find_failed(connection: AsyncConnection[Any], selection: Selection) -> list[FailedEvent]:
    """The failed events of a selection, the latest failure first. Raises psycopg.Error."""
    values = asdict(selection) | {"ids": None if selection.ids is None else list(selection.ids)}
    async with connection.cursor(row_factory=class_row(FailedEvent)) as cursor:
        await cursor.execute(load_sql("shared", "list_failed"), values)
        return await cursor.fetchall()


def _block(row: dict[str, Any]) -> Block:
    payload = bytes(row["payload"])
    frame = EventFrame(row["event_id"], row["event_type"], row["occurred_us"], payload, crc32(payload))
    gateway, address, user_agent, request_id, key_id = (
        str(row["origin"].get(name, "")) for name in ("gateway", "address", "user_agent", "request_id", "key_id")
    )
    return Block(
        VERSION, row["client_id"], row["received_us"], gateway, address, user_agent, request_id, key_id, [frame],
        replayed=True,
    )  # fmt: skip


def _entries(blocks: list[Block]) -> list[list[Block]]:
    """The blocks in as many entries as their bytes ask for; each block has one event."""
    parts: list[list[Block]] = [[]]
    size = 0
    for block in blocks:
        size += len(block.events[0].payload)
        if parts[-1] and size > _MAX_ENTRY_BYTES:
            parts.append([])
            size = len(block.events[0].payload)
        parts[-1].append(block)
    return parts
