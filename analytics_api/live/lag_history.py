"""How much waited, for the last day: sampled all the time, so that a page that is opened now can show what was.

It is this process's memory: it begins when the process does, and others have their own.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import redis.asyncio
import structlog
from redis.exceptions import RedisError

from shared.stream_status import read_stream_status_async

log = structlog.get_logger()

STEP_SECONDS: Final = 10
_SAMPLES: Final = 24 * 3600 // STEP_SECONDS
_MOST_POINTS: Final = 720


@dataclass(frozen=True, slots=True)
class LagSample:
    """One look at the events streams: when (seconds since 1970), how many waited, and for how long the oldest."""

    at: float
    lag: int
    oldest_age_seconds: float


class LagHistory:
    """``start`` and ``close`` from one event loop. One look every ten seconds: two round trips and two a shard."""

    def __init__(self, client: "redis.asyncio.Redis", shards: int, step_seconds: float = STEP_SECONDS) -> None:
        self._redis = client
        self._shards = shards
        self._step_seconds = step_seconds
        self._samples: deque[LagSample] = deque(maxlen=_SAMPLES)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    @property
    def began_at(self) -> float | None:
        """The first moment that is known."""
        return self._samples[0].at if self._samples else None

    def since(self, start: float) -> list[LagSample]:
        """What was seen from that moment on, in at most 720 points: of neighbours the highest."""
        return thinned([sample for sample in self._samples if sample.at >= start], _MOST_POINTS)

    async def _run(self) -> None:
        while True:
            try:
                await self._look()
            except (RedisError, OSError, TimeoutError) as error:  # a hole in the history, as there was one
                log.debug("lag_history.away", error=type(error).__name__)
            except Exception:  # a fault of our own must not end the history for good
                log.exception("lag_history.failed")
            await asyncio.sleep(self._step_seconds)

    async def _look(self) -> None:
        streams = await read_stream_status_async(self._redis, self._shards)
        events = [stream for stream in streams if stream.name == "events"]
        oldest = max((stream.oldest_age_seconds for stream in events if stream.length), default=0.0)
        self._samples.append(LagSample(time.time(), sum(stream.length for stream in events), oldest))


def thinned(samples: Sequence[LagSample], most: int) -> list[LagSample]:
    """At most so many: of each few neighbours the one with the highest lag."""
    size = -(-len(samples) // most)
    if size <= 1:
        return list(samples)
    return [max(samples[first : first + size], key=lambda sample: sample.lag) for first in range(0, len(samples), size)]
