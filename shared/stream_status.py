"""How full each stream is, in events, and who works on it, without reading what the entries hold.

Entry ids are ``<ms>-<events ever appended>`` (``shared/lua/append.lua``), so a few numbers that Redis keeps anyway tell
all: length = added - settled; lag = added - the sequence number of the last delivered id; pending = what else is there.
An entry that another hand put there has an id that means nothing here: then the counts are near, and never negative.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import redis
import redis.asyncio
from redis.exceptions import ResponseError

from shared.redis_keys import GROUP, ShardKeys, StreamKeys

EntryId = tuple[int, int]
_QUERIES: Final = 5  # replies a stream in one transaction; see _ask


@dataclass(frozen=True, slots=True)
class ConsumerStatus:
    """One consumer of a stream's group. ``pending`` is in entries; each holds one publisher call's events."""

    name: str
    stream: str
    shard: int
    pending: int
    idle_seconds: float


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """One stream of one shard, in events. ``lag`` was not delivered yet; ``pending`` was, and is not settled."""

    name: str
    shard: int
    length: int
    lag: int
    pending: int
    oldest_age_seconds: float
    consumers: tuple[ConsumerStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamReplies:
    """What Redis said of one stream at one moment. The defaults are those of a stream that is not there."""

    keys: StreamKeys
    entries: int = 0
    added: int = 0
    settled: int = 0
    last_delivered: EntryId = (0, 0)
    undelivered_entries: int | None = None
    """None when Redis cannot tell, as after deletions by hand."""
    pending_entries: int = 0
    oldest_pending_ms: int | None = None
    consumers: tuple[ConsumerStatus, ...] = ()

    @property
    def oldest_is_undelivered(self) -> bool:
        """Whether the oldest entry must be looked for behind the last delivered one: nothing is pending before it."""
        return self.entries > 0 and self.oldest_pending_ms is None


def read_stream_status(client: "redis.Redis", shards: int, now_ms: int | None = None) -> list[StreamStatus]:
    """The streams of all shards, each shard at one moment. Without ``now_ms`` ages are by Redis's clock, as ids are.

    Two round trips a shard at most. Raises redis-py's errors; a missing stream or group counts as zeros.
    """
    statuses = []
    for shard in range(shards):
        pipeline = client.pipeline(transaction=True)
        _ask(pipeline, shard)
        streams, clock_ms = _understand(pipeline.execute(raise_on_error=False), shard)
        waiting = [replies for replies in streams if replies.oldest_is_undelivered]
        pipeline = client.pipeline(transaction=False)
        _ask_oldest(pipeline, waiting)
        oldest = _oldest_undelivered(waiting, pipeline.execute() if waiting else [])
        statuses += _statuses(streams, oldest, clock_ms if now_ms is None else now_ms)
    return statuses


async def read_stream_status_async(
    client: "redis.asyncio.Redis", shards: int, now_ms: int | None = None
) -> list[StreamStatus]:
    """The same on an asyncio client."""
    statuses = []
    for shard in range(shards):
        pipeline = client.pipeline(transaction=True)
        _ask(pipeline, shard)
        streams, clock_ms = _understand(await pipeline.execute(raise_on_error=False), shard)
        waiting = [replies for replies in streams if replies.oldest_is_undelivered]
        pipeline = client.pipeline(transaction=False)
        _ask_oldest(pipeline, waiting)
        oldest = _oldest_undelivered(waiting, await pipeline.execute() if waiting else [])
        statuses += _statuses(streams, oldest, clock_ms if now_ms is None else now_ms)
    return statuses


def count_events(replies: StreamReplies) -> tuple[int, int, int]:
    """Length, lag and pending in events; lag + pending = length, and none is negative.

    A settled entry is deleted, so every entry still there is undelivered or pending and holds at least one event.
    """
    if replies.entries == 0:
        return 0, 0, 0
    length = max(replies.added - replies.settled, replies.entries)
    if replies.pending_entries == 0:
        return length, length, 0
    if replies.undelivered_entries == 0:
        return length, 0, length
    most = max(length - replies.pending_entries, 0)
    lag = min(max(replies.added - replies.last_delivered[1], 0), most)
    return length, lag, length - lag


def parse_entry_id(entry_id: bytes | str) -> EntryId:
    """``b"5-3"`` as (5, 3): compared in Redis's order."""
    milliseconds, _, sequence = _text(entry_id).partition("-")
    return int(milliseconds), int(sequence)


def _ask(pipeline: Any, shard: int) -> None:
    pipeline.time()
    for keys in ShardKeys(shard).streams:
        pipeline.xlen(keys.stream)
        pipeline.hmget(keys.totals, "added", "settled")
        pipeline.xinfo_groups(keys.stream)
        pipeline.xinfo_consumers(keys.stream, GROUP)
        pipeline.xpending(keys.stream, GROUP)


def _ask_oldest(pipeline: Any, waiting: Iterable[StreamReplies]) -> None:
    # XINFO STREAM and a script both cost more than reading the one entry, 0.5 ms at 1 MB: they copy entries too
    for replies in waiting:
        after = "-".join(map(str, replies.last_delivered))
        pipeline.xrange(replies.keys.stream, f"({after}", "+", count=1)


def _understand(replies: list[Any], shard: int) -> tuple[list[StreamReplies], int]:
    (seconds, microseconds), *rest = replies
    parts = zip(*[iter(rest)] * _QUERIES, strict=True)
    streams = [_replies(keys, *part) for keys, part in zip(ShardKeys(shard).streams, parts, strict=True)]
    return streams, seconds * 1000 + microseconds // 1000


def _replies(keys: StreamKeys, entries: Any, totals: Any, groups: Any, consumers: Any, pending: Any) -> StreamReplies:
    group: dict[str, Any] = next((found for found in _or_nothing(groups, []) if _text(found["name"]) == GROUP), {})
    summary: dict[str, Any] = _or_nothing(pending, {})
    oldest = summary.get("min")
    return StreamReplies(
        keys,
        entries=_or_nothing(entries, 0),
        added=int(totals[0] or 0),
        settled=int(totals[1] or 0),
        last_delivered=parse_entry_id(group.get("last-delivered-id", "0-0")),
        undelivered_entries=group.get("lag"),
        pending_entries=summary.get("pending", 0),
        oldest_pending_ms=None if oldest is None else parse_entry_id(oldest)[0],
        consumers=tuple(
            ConsumerStatus(_text(found["name"]), keys.name, keys.shard, found["pending"], found["idle"] / 1000)
            for found in _or_nothing(consumers, [])
        ),
    )


def _or_nothing(reply: Any, nothing: Any) -> Any:
    """The reply, or ``nothing`` for a stream or group that is not there. Raises any other error Redis gave."""
    if not isinstance(reply, Exception):
        return reply
    if isinstance(reply, ResponseError) and ("NOGROUP" in str(reply) or "no such key" in str(reply)):
        return nothing
    raise reply


def _oldest_undelivered(waiting: list[StreamReplies], found: list[Any]) -> dict[str, int]:
    ids = zip(waiting, found, strict=True)
    return {replies.keys.stream: parse_entry_id(entries[0][0])[0] for replies, entries in ids if entries}


def _statuses(streams: list[StreamReplies], oldest: dict[str, int], now_ms: int) -> list[StreamStatus]:
    statuses = []
    for replies in streams:
        oldest_ms = replies.oldest_pending_ms
        if oldest_ms is None:
            oldest_ms = oldest.get(replies.keys.stream, now_ms)
        age_seconds = max(now_ms - oldest_ms, 0) / 1000
        statuses.append(
            StreamStatus(
                replies.keys.name, replies.keys.shard, *count_events(replies), age_seconds, consumers=replies.consumers
            )
        )
    return statuses


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
