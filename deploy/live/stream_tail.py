"""Events as they are accepted, read from the streams outside of the consumer group."""

from collections.abc import Iterator
from typing import Any, Final

import redis

from shared.errors import WeirError
from shared.redis_keys import ShardKeys
from shared.stream_entry import Block, EventFrame, decode_blocks

BLOCK_MS: Final = 1000
_ENTRIES: Final = 8


def tail(client: redis.Redis, shards: int) -> Iterator[tuple[Block, EventFrame]]:
    """Every event that comes from now on, without end. Raises redis-py's errors.

    Entries leave their stream once stored: who reads too slowly sees not all of them.
    """
    seen = _newest(client, shards)
    while True:
        positions: dict[Any, Any] = {**seen}
        found: Any = client.xread(positions, count=_ENTRIES, block=BLOCK_MS)
        if not found:
            seen = _newest(client, shards)  # also after Redis lost its data, when ids begin anew
            continue
        for stream, entries in found.items() if isinstance(found, dict) else found:
            flat = entries[0] if isinstance(found, dict) and entries and isinstance(entries[0], list) else entries
            for entry_id, fields in flat:
                seen[stream.decode()] = entry_id.decode()
                yield from _events(fields)


def _events(fields: dict[bytes, bytes]) -> Iterator[tuple[Block, EventFrame]]:
    try:
        blocks = decode_blocks(fields[b"e"])
    except (WeirError, KeyError):
        return  # the processor says what is wrong with it
    for block in blocks:
        for frame in block.events:
            yield block, frame


def _newest(client: redis.Redis, shards: int) -> dict[str, str]:
    newest = {}
    for keys in (ShardKeys(shard).events for shard in range(shards)):
        last_ms, added = client.hmget(keys.totals, ["last_ms", "added"])
        newest[keys.stream] = f"{int(last_ms or 0)}-{int(added or 0)}"
    return newest
