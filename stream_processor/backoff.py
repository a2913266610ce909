"""How long to wait between attempts while a server is away."""

import random
from collections.abc import Callable
from typing import Final

FIRST_SECONDS: Final = 0.05
LONGEST_SECONDS: Final = 1.0
"""Short, because recovery is noticed within this after the server's return; one attempt a second harms nobody."""


class Backoff:
    """Doubling waits with jitter, up to LONGEST_SECONDS; ``wait`` is an Event's, so that a stop ends it at once."""

    def __init__(self, wait: Callable[[float], bool]) -> None:
        self._wait = wait
        self._seconds = FIRST_SECONDS

    def pause(self) -> None:
        """Wait, and wait longer the next time."""
        self._wait(self._seconds * random.uniform(0.5, 1.0))  # noqa: S311  jitter, not a secret
        self._seconds = min(self._seconds * 2, LONGEST_SECONDS)

    def reset(self) -> None:
        """Begin anew: an attempt succeeded."""
        self._seconds = FIRST_SECONDS
