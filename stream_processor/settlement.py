"""Telling Redis what is committed: acknowledge and delete, or move to the dead stream. Only ever after COMMIT."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import redis

from shared.redis_functions import RedisFunction
from shared.redis_keys import GROUP
from stream_processor.entries import Failure, Source, StreamEntry
from stream_processor.failures import of_entry

_MARGIN_SECONDS: Final = 3600
_FEW: Final = 10_000
"""Kept even where there is no early filter: for those who wait for what they have just sent."""
_encoder = msgspec.msgpack.Encoder()


@dataclass(frozen=True)
class ParkedNames:
    """How long, and how many, names of failed events are kept for those who wait for them."""

    seconds: int = 7200
    most: int = 1_000_000

    @classmethod
    def for_filter(cls, window_seconds: int, max_ids: int) -> "ParkedNames":
        """For as long as the gateway's early filter may know an event, and no more than it may know.

        It forgets at its second rotation, and rotates when something is published a window after the last time: at the
        latest three windows after the event.
        """
        return cls(3 * window_seconds + _MARGIN_SECONDS, max(max_ids, _FEW))


DEFAULT_NAMES: Final = ParkedNames()


class Settlement:
    """Settles the entries of one stream. Every call may be repeated: what is no longer pending is passed over."""

    def __init__(self, client: redis.Redis, source: Source, names: ParkedNames) -> None:
        self._redis = client
        self._source = source
        self._names = names
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
        placed = [of_entry(failure, source.keys.stream, entry.entry_id, entry.content_crc) for failure in failures]
        packed = _encoder.encode(placed)
        names = [_parked_name(entry, failure) for failure in failures]
        kept = self._names.seconds, self._names.most
        moved = self._park.call(
            self._redis, keys, GROUP, entry.entry_id, entry.events, len(failures), packed, *kept, *names
        )
        return bool(moved)


def _parked_name(entry: StreamEntry, failure: Failure) -> str:
    return entry.entry_id if failure.event_id is None else f"{failure.client_id}\0{failure.event_id}"
