"""Whether what a processor has in hand is still its own to store.

The fence makes a second storing a no-op for as long as it keeps its rows. A batch that was held for longer than an idle
time, or through an outage, is asked about before it is stored: others may have stored it, and the rows may be gone.
It is asked inside the transaction, when the fence is had: from then on nobody else can commit these entries.
"""

import time
from collections.abc import Iterable
from typing import Final

import redis

from shared.redis_functions import RedisFunction
from shared.redis_keys import GROUP, StreamKeys
from stream_processor.entries import Prepared

_CHUNK: Final = 1000


class Ownership:
    """Of one consumer's entries of one stream."""

    def __init__(self, client: "redis.Redis", keys: StreamKeys, consumer: str, idle_seconds: float) -> None:
        self._redis = client
        self._keys = keys
        self._consumer = consumer
        self._idle_seconds = idle_seconds
        self._strange = RedisFunction("stream_processor", "strange", when_full=True)

    def is_doubtful(self, prepared: Prepared) -> bool:
        """Whether a batch has been in hand for so long that others may have taken it over."""
        return time.monotonic() - prepared.since >= self._idle_seconds

    def strange(self, entry_ids: Iterable[str]) -> frozenset[str]:
        """Those that are no longer this consumer's; the others' idle time begins anew. Raises redis.RedisError."""
        ids, names = list(entry_ids), [self._keys.stream, self._keys.totals]
        found: set[str] = set()
        for start in range(0, len(ids), _CHUNK):
            part = ids[start : start + _CHUNK]
            reply = self._strange.call(self._redis, names, GROUP, self._consumer, *part)
            found.update(entry_id.decode() for entry_id in reply)
        return frozenset(found)
