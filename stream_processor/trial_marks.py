"""What is being tried with an entry that may kill its processor, noted where it outlives the process: in Redis."""

from collections.abc import Mapping
from typing import Final

import redis

from shared.redis_functions import RedisFunction
from shared.redis_keys import StreamKeys

WHOLE: Final = "whole"
"""The entry was alone in a batch."""
DECODING: Final = "decoding"
"""The entry was being decoded, to try its events one by one; each is then a place: 0, 1, ..."""
_KEPT_SECONDS: Final = 86_400


class TrialMarks:
    """The marks of one consumer. Every call is one round trip, works in a full Redis, and raises redis.RedisError."""

    def __init__(self, client: redis.Redis, keys: StreamKeys, consumer: str) -> None:
        self._redis = client
        self._keys = keys
        self._consumer = consumer
        self._begin = RedisFunction("stream_processor", "begin_trial", when_full=True)
        self._mark = RedisFunction("stream_processor", "mark_trial", when_full=True)

    def begin(self, entry_id: str) -> Mapping[str, int]:
        """How many processors died while they tried what of this entry; only those of its owner are current."""
        reply = iter(self._begin.call(self._redis, [self._keys.trial(entry_id)], self._consumer))
        return {place.decode(): int(deaths) for place, deaths in zip(reply, reply, strict=True)}

    def trying(self, entry_id: str, place: str) -> None:
        """Note what is tried next."""
        self._mark.call(self._redis, [self._keys.trial(entry_id)], self._consumer, _KEPT_SECONDS, place)

    def end(self, entry_id: str) -> None:
        """Note that the try ended, well or badly, and this process lives."""
        self._mark.call(self._redis, [self._keys.trial(entry_id)], self._consumer, _KEPT_SECONDS)
