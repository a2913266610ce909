"""What the gateway leaves in Redis, for tests of those who only look at it."""

import struct
from typing import Any

import redis

from shared.redis_functions import RedisFunction
from shared.redis_keys import GROUP, ShardKeys, StreamKeys

_CRC = b"crc4"


def append(client: "redis.Redis", keys: StreamKeys, n: int, blob: bytes = b"blob") -> tuple[int, int]:
    """One entry of n events; returns its id."""
    milliseconds, added = RedisFunction("tests", "append_events").call(client, [keys.stream, keys.totals], n, blob)
    return milliseconds, added


def accept(client: "redis.Redis", client_id: str, *event_ids: str) -> list[str]:
    """One call's events of shard 0, remembered by the early filter; returns the entry id of each."""
    keys = ShardKeys(0)
    milliseconds, last = append(client, keys.events, len(event_ids))
    own_ids = []
    for place, event_id in enumerate(event_ids, start=1):
        sequence = last - len(event_ids) + place
        packed = struct.pack(">HIHI", milliseconds >> 32, milliseconds & 0xFFFFFFFF, 0, sequence) + _CRC
        client.hset(keys.ids, f"{client_id}\x00{event_id}", packed)
        own_ids.append(f"{milliseconds}-{sequence}")
    return own_ids


def take(client: Any, keys: StreamKeys, consumer: str = "p1") -> bytes:
    """One entry delivered to a processor; returns its id."""
    if not client.exists(keys.stream) or not client.xinfo_groups(keys.stream):
        client.xgroup_create(keys.stream, GROUP, id="0", mkstream=True)
    (_, entries), *_ = client.xreadgroup(GROUP, consumer, {keys.stream: ">"}, count=1)
    entry_id: bytes = entries[0][0]
    return entry_id


def settle(client: Any, keys: StreamKeys, entry_id: bytes, n: int) -> None:
    """As a processor does once the entry's n events are committed."""
    client.xack(keys.stream, GROUP, entry_id)
    client.xdel(keys.stream, entry_id)
    client.hincrby(keys.totals, "settled", n)
