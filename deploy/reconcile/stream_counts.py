"""The side of Redis: counts of accepted events, and which events the streams hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

import redis

from shared.accepted_counts import MINUTE_US, Account, read_accepted
from shared.errors import DataError
from shared.redis_keys import ShardKeys, StreamKeys
from shared.stream_entry import Block, decode_blocks

_PAGE = 8
"""Entries a page: one may hold two megabytes."""

Progress = Callable[[int], None]
Page = list[tuple[bytes, dict[bytes, bytes]]]


@dataclass(frozen=True, slots=True)
class WaitingEntry:
    """An entry of an event stream: how many accepted events it holds, by account. Replays were accepted before."""

    stream: str
    entry_id: str
    events: Counter[Account] = field(default_factory=Counter)


def read_counts(client: redis.Redis, shards: int) -> dict[tuple[int, Account], int]:
    """The accepted counts that Redis has, by shard and account. Raises redis.RedisError."""
    return {
        (shard, account): count
        for shard in range(shards)
        for account, count in read_accepted(client, ShardKeys(shard).accepted).items()
    }


def read_waiting(client: redis.Redis, shards: int, progress: Progress) -> list[WaitingEntry]:
    """What the event streams hold, page by page; ``progress`` is told the number of entries read so far."""
    waiting: list[WaitingEntry] = []
    for shard in range(shards):
        keys = ShardKeys(shard).events
        for entry_id, blob in entries_of(client, keys):
            waiting.append(WaitingEntry(keys.stream, entry_id, _count(blob)))
            progress(len(waiting))
    return waiting


def waiting_ids(client: redis.Redis, shards: int, account: Account, most: int) -> list[str]:
    """Ids of an account's events that the streams hold now, at most so many."""
    found: list[str] = []
    for shard in range(shards):
        for _, blob in entries_of(client, ShardKeys(shard).events):
            for block in _blocks(blob):
                if (block.received_us // MINUTE_US, block.client_id) == account and not block.replayed:
                    found += [frame.event_id for frame in block.events]
            if len(found) >= most:
                return found[:most]
    return found


def remembered_ids(client: redis.Redis, shards: int, account: Account) -> set[str]:
    """Ids of an account that the early filter still remembers as accepted in its minute, or just after."""
    minute, client_id = account
    prefix = f"{client_id}\0".encode()
    found = set()
    for shard in map(ShardKeys, range(shards)):
        for key in (shard.ids, shard.ids_before):
            for name, value in client.hscan_iter(key, count=5000):
                accepted_ms = int.from_bytes(value[:6], "big")
                if name.startswith(prefix) and minute <= accepted_ms // 60_000 <= minute + 1:
                    found.add(name[len(prefix) :].decode())
    return found


def entries_of(client: redis.Redis, keys: StreamKeys) -> Iterator[tuple[str, bytes]]:
    """Id and content of each entry of a stream, oldest first. Raises redis.RedisError."""
    after = "-"
    while page := cast(Page, client.xrange(keys.stream, min=after, count=_PAGE)):
        for entry_id, fields in page:
            yield entry_id.decode(), fields.get(b"e", b"")
        after = f"({page[-1][0].decode()}"


def _count(blob: bytes) -> Counter[Account]:
    events: Counter[Account] = Counter()
    for block in _blocks(blob):
        if not block.replayed:
            events[block.received_us // MINUTE_US, block.client_id] += len(block.events)
    return events


def _blocks(blob: bytes) -> list[Block]:
    try:
        return decode_blocks(blob)
    except DataError:  # an entry that nobody can read has no account; its events come out as missing
        return []
