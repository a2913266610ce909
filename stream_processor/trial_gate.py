"""One suspect at a time: while an event is tried, its process does nothing else that could kill it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class TrialGate:
    """Held by who prepares a batch and by who tries an entry; one for all loops of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._trial_moved_at: float | None = None

    def enter(self, seconds: float) -> bool:
        """Take it, waiting for so long at most; whether it was had."""
        return self._lock.acquire(timeout=seconds)

    def leave(self) -> None:
        """Give it back."""
        self._lock.release()

    @contextmanager
    def trial(self) -> Iterator[None]:
        """Take it to try an entry."""
        with self._lock:
            self.move()
            try:
                yield
            finally:
                self._trial_moved_at = None

    def move(self) -> None:
        """The trial has come to its next event."""
        self._trial_moved_at = time.monotonic()

    def stuck_seconds(self) -> float:
        """For how long a trial has been at one event: an enricher may hang, and its entry must be left to others."""
        moved_at = self._trial_moved_at
        return 0.0 if moved_at is None else time.monotonic() - moved_at
