"""Reading one stream as one consumer of the group: new entries, one's own pending ones, and those of the dead."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import redis
from redis.exceptions import ResponseError

from shared.redis_functions import RedisFunction
from shared.redis_keys import GROUP, StreamKeys
from stream_processor.entries import StreamEntry

MAX_ENTRIES: Final = 128
"""Entries one call takes at most: it holds Redis up, and with it every answer, for one or two milliseconds."""
_PAGE: Final = 100
_MAX_COUNT_DIGITS: Final = 9
Fields = Mapping[bytes, bytes] | Sequence[bytes] | None


class StreamReader:
    """The stream commands of one consumer. Calls block up to the client's socket time-out and raise redis.RedisError.

    The client must be used by one thread, with a socket time-out well above ``block_ms``, and without retries.
    """

    def __init__(self, client: redis.Redis, keys: StreamKeys, consumer: str) -> None:
        self._redis = client
        self._keys = keys
        self.consumer = consumer
        self._create_group = RedisFunction("stream_processor", "create_group", when_full=True)
        self._take = RedisFunction("stream_processor", "take", when_full=True)
        self._keep = RedisFunction("stream_processor", "keep", when_full=True)
        self._leave = RedisFunction("stream_processor", "leave", when_full=True)

    def create_group(self) -> None:
        """Make the group at the stream's beginning, and the stream, unless they are there; also when Redis is full."""
        self._create_group.call(self._redis, [self._keys.stream], GROUP)

    def wait_for_new(self, block_ms: int) -> list[StreamEntry]:
        """The next entry nobody has read, waiting up to ``block_ms``; one only, for its size is not known before."""
        reply = self._redis.xreadgroup(GROUP, self.consumer, {self._keys.stream: ">"}, count=1, block=block_ms)
        return [_entry(entry_id, fields, 1) for entry_id, fields in _first_stream(reply)]

    def read_new(self, events: int, size: int) -> list[StreamEntry]:
        """Entries nobody has read, until they hold so many events or bytes, or are MAX_ENTRIES; does not wait."""
        raw = self._take.call(self._redis, [self._keys.stream], GROUP, self.consumer, events, size, MAX_ENTRIES)
        return [_entry(entry_id, fields, 1) for entry_id, fields in raw]

    def own_pending(self, after: str) -> dict[str, int]:
        """A page of what was delivered to this consumer and not acknowledged, after an id ('' for the first page).

        Ids in order, with the deliveries of each; empty at the end.
        """
        return self._pending(after, consumername=self.consumer)

    def idle_pending(self, idle_ms: int, after: str) -> dict[str, int]:
        """The same of every consumer, but only what has been pending for longer than ``idle_ms``."""
        return self._pending(after, idle=idle_ms)

    def claim(self, deliveries: Mapping[str, int], idle_ms: int, events: int, size: int) -> list[StreamEntry]:
        """Take over pending entries that are still idle for so long, until they hold so many events or bytes.

        With an idle time of 0, take back what is this consumer's own: that counts as no delivery.

        Entries that were deleted leave the pending list here and are not returned: there is nothing left to store.
        """
        ids = list(deliveries)
        raw = self._take.call(
            self._redis, [self._keys.stream], GROUP, self.consumer, events, size, len(ids), idle_ms, *ids
        )
        counted = 1 if idle_ms else 0
        return [_entry(entry_id, fields, deliveries[entry_id.decode()] + counted) for entry_id, fields in raw]

    def keep(self, entry_ids: Sequence[str]) -> int:
        """Reset the idle time of entries that are still this consumer's; how many those are."""
        kept = 0
        for start in range(0, len(entry_ids), MAX_ENTRIES):
            ids = entry_ids[start : start + MAX_ENTRIES]
            kept += self._keep.call(self._redis, [self._keys.stream], GROUP, self.consumer, *ids)
        return kept

    def leave(self) -> bool:
        """Remove this consumer from the group if nothing of it is pending; whether it was removed."""
        return bool(self._leave.call(self._redis, [self._keys.stream], GROUP, self.consumer))

    def _pending(self, after: str, **narrowed: Any) -> dict[str, int]:
        start = f"({after}" if after else "-"
        page = self._redis.xpending_range(self._keys.stream, GROUP, start, "+", _PAGE, **narrowed)
        rows = cast(list[dict[str, Any]], page)
        return {row["message_id"].decode(): int(row["times_delivered"]) for row in rows}


def is_group_lost(error: Exception) -> bool:
    """Whether Redis knows no such stream or group: it lost its data."""
    return isinstance(error, ResponseError) and str(error).startswith(("NOGROUP", "UNBLOCKED"))


def _first_stream(reply: Any) -> list[tuple[bytes, Fields]]:
    """The entries of a reply about one stream: RESP3 maps its name, RESP2 lists pairs; nothing is empty or None.

    redis-py nests the entries of a RESP3 map once more.
    """
    if not reply:
        return []
    if isinstance(reply, dict):
        (entries,) = reply.values()
        return cast(list[tuple[bytes, Fields]], entries[0] if entries and isinstance(entries[0], list) else entries)
    return cast(list[tuple[bytes, Fields]], reply[0][1])


def _entry(entry_id: bytes, fields: Fields, deliveries: int) -> StreamEntry:
    if not isinstance(fields, Mapping):
        flat = iter(fields or ())
        fields = dict(zip(flat, flat, strict=True))
    count = fields.get(b"n", b"")
    events = int(count) if count.isdigit() and len(count) <= _MAX_COUNT_DIGITS else 0
    if events > int(entry_id.partition(b"-")[2]):  # an entry of ours ends its id with the events ever added
        events = 0
    return StreamEntry(entry_id.decode(), events, fields.get(b"e"), deliveries)
