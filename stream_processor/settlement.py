"""Telling Redis what is committed: acknowledge and delete, or move to the dead stream. Only ever after COMMIT."""

from collections.abc import Sequence

import msgspec
import redis

from shared.redis_functions import RedisFunction
from shared.redis_keys import GROUP
from stream_processor.entries import Failure, Source, StreamEntry

_encoder = msgspec.msgpack.Encoder()


class Settlement:
    """Settles the entries of one stream. Every call may be repeated: what is no longer pending is passed over."""

    def __init__(self, client: redis.Redis, source: Source) -> None:
        self._redis = client
        self._source = source
        self._settle = RedisFunction("stream_processor", "settle", when_full=True)
        self._park = RedisFunction("stream_processor", "park", when_full=True)

    def settle(self, entries: Sequence[StreamEntry]) -> int:
        """Acknowledge and delete entries; how many were still pending. Raises redis.RedisError."""
        if not entries:
            return 0
        keys = self._source.keys
        pairs: list[str | int] = [part for entry in entries for part in (entry.entry_id, entry.events)]
        settled: int = self._settle.call(self._redis, [keys.stream, keys.totals], GROUP, *pairs)
        return settled

    def park(self, entry: StreamEntry, failures: list[Failure]) -> bool:
        """Move an entry's failed events to the dead stream; whether this call did it. Raises redis.RedisError."""
        source = self._source
        keys = [source.keys.stream, source.keys.totals, source.dead.stream, source.dead.totals, source.parked]
        packed = _encoder.encode(failures)
        names = [_parked_name(entry, failure) for failure in failures]
        moved = self._park.call(self._redis, keys, GROUP, entry.entry_id, entry.events, len(failures), packed, *names)
        return bool(moved)


def _parked_name(entry: StreamEntry, failure: Failure) -> str:
    return entry.entry_id if failure.event_id is None else f"{failure.client_id}\0{failure.event_id}"
