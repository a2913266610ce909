"""Reading one stream as one consumer of the group: new entries, one's own pending ones, and those of the dead."""

from collections.abc import Iterable
from typing import Any, Final, cast

import redis
from redis.exceptions import ResponseError

from shared.redis_functions import RedisFunction
from shared.redis_keys import GROUP, StreamKeys
from stream_processor.entries import StreamEntry

_PAGE: Final = 100
Fields = dict[bytes, bytes] | None


class StreamReader:
    """Wraps the stream commands of one consumer. Calls block up to the client's socket time-out and raise redis.RedisError.

    The client must be used by one thread, with a socket time-out well above ``block_ms``, and without retries of its own.
    """

    def __init__(self, client: redis.Redis, keys: StreamKeys, consumer: str) -> None:
        self._redis = client
        self._keys = keys
        self.consumer = consumer
        self._leave = RedisFunction("stream_processor", "leave")

    def create_group(self) -> None:
        """Make the group at the stream's beginning, and the stream, unless they are there."""
        try:
            self._redis.xgroup_create(self._keys.stream, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    def read_new(self, count: int, block_ms: int | None) -> list[StreamEntry]:
        """Up to ``count`` entries nobody has read; waits up to ``block_ms`` for the first, None does not wait."""
        return self._read(">", count, block_ms)

    def read_pending(self, after: str) -> list[StreamEntry]:
        """A page of what was delivered to this consumer and not acknowledged, after an id; empty at the end.

        Entries that were deleted meanwhile are acknowledged here: there is nothing left to store.
        """
        return self._read(after, _PAGE, None)

    def claim_idle(self, idle_ms: int, passed_over: Iterable[str]) -> list[StreamEntry]:
        """Take over entries that another consumer has left pending for longer than ``idle_ms``."""
        pending = self._redis.xpending_range(self._keys.stream, GROUP, "-", "+", _PAGE, idle=idle_ms)
        passed = set(passed_over)
        counts = {
            entry["message_id"].decode(): int(entry["times_delivered"])
            for entry in cast(list[dict[str, Any]], pending)
            if entry["message_id"].decode() not in passed
        }
        if not counts:
            return []
        claimed = self._redis.xclaim(self._keys.stream, GROUP, self.consumer, idle_ms, list(counts))
        entries = self._entries(cast(list[tuple[bytes, Fields]], claimed))
        return [StreamEntry(entry.entry_id, entry.events, entry.blob, counts[entry.entry_id] + 1) for entry in entries]

    def keep(self, entry_ids: list[str]) -> None:
        """Reset the idle time of entries that are still this consumer's, so that a long batch is not taken over."""
        if not entry_ids:
            return
        page = self._redis.xpending_range(
            self._keys.stream, GROUP, entry_ids[0], entry_ids[-1], len(entry_ids) * 2, consumername=self.consumer
        )
        wanted = set(entry_ids)
        mine = [
            entry["message_id"] for entry in cast(list[dict[str, Any]], page) if entry["message_id"].decode() in wanted
        ]
        if mine:
            self._redis.xclaim(self._keys.stream, GROUP, self.consumer, 0, mine, justid=True)

    def leave(self) -> bool:
        """Remove this consumer from the group if nothing of it is pending; whether it was removed."""
        return bool(self._leave.call(self._redis, [self._keys.stream], GROUP, self.consumer))

    def _read(self, start: str, count: int, block_ms: int | None) -> list[StreamEntry]:
        reply = self._redis.xreadgroup(GROUP, self.consumer, {self._keys.stream: start}, count=count, block=block_ms)
        return self._entries(_first_stream(reply))

    def _entries(self, raw: Iterable[tuple[bytes, Fields]]) -> list[StreamEntry]:
        entries, gone = [], []
        for entry_id, fields in raw:
            if fields:
                entries.append(_entry(entry_id, fields))
            else:
                gone.append(entry_id)
        if gone:
            self._redis.xack(self._keys.stream, GROUP, *gone)
        return entries


def _first_stream(reply: Any) -> list[tuple[bytes, Fields]]:
    """The entries of a reply about one stream: RESP3 maps the stream's name, RESP2 lists pairs; nothing is empty or None.

    redis-py nests the entries of a RESP3 map once more.
    """
    if not reply:
        return []
    if isinstance(reply, dict):
        (entries,) = reply.values()
        return cast(list[tuple[bytes, Fields]], entries[0] if entries and isinstance(entries[0], list) else entries)
    return cast(list[tuple[bytes, Fields]], reply[0][1])


def _entry(entry_id: bytes, fields: dict[bytes, bytes]) -> StreamEntry:
    count = fields.get(b"n", b"")
    return StreamEntry(entry_id.decode(), int(count) if count.isdigit() else 0, fields.get(b"e"))
