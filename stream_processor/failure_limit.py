"""When failures are so many that the processor itself must be suspected: a bad release must not drain everything."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shared.errors import TooManyFailures


@dataclass(frozen=True)
class FailureLimit:
    """Reached when at least ``count`` events, and at least ``share`` of all, failed within the window."""

    share: float = 0.5
    count: int = 1000
    window_seconds: float = 60


DEFAULT_LIMIT: Final = FailureLimit()


def is_reached(limit: FailureLimit, events: int, failed: int) -> bool:
    """The decision, over all events that a window has seen and those of them that failed."""
    return failed >= limit.count and failed >= limit.share * events


class FailureWindow:
    """What became of the events of one stream lately, as one processor saw it. Used by one thread."""

    def __init__(self, limit: FailureLimit, stream: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._stream = stream
        self._clock = clock
        self._batches: deque[tuple[float, int, int]] = deque()

    def check(self, events: int, failed: int, last_detail: str) -> None:
        """Before COMMIT: raises TooManyFailures when a batch with so many failures reaches the limit."""
        horizon = self._clock() - self._limit.window_seconds
        while self._batches and self._batches[0][0] <= horizon:
            self._batches.popleft()
        events += sum(batch[1] for batch in self._batches)
        failed += sum(batch[2] for batch in self._batches)
        if failed and is_reached(self._limit, events, failed):
            raise TooManyFailures(
                f"stream {self._stream}: {failed} of {events} events failed within {self._limit.window_seconds:g} s, "
                f"the last one because: {last_detail}; this batch was not written, and nothing of it is given up: "
                "its entries stay pending. "
                "Mend the cause (a release, an enricher, the schema), or, if they are to fail, raise "
                "WEIR_FAILURE_LIMIT_COUNT or WEIR_FAILURE_LIMIT_SHARE; then: weir processors resume"
            )

    def add(self, events: int, failed: int) -> None:
        """After COMMIT: what became of a batch."""
        self._batches.append((self._clock(), events, failed))
