"""How often something crashed of late, and what follows from it."""

import time
from collections import deque
from typing import Final

from shared.errors import HaltError

_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 10.0
MAX_CRASHES: Final = 6
CRASH_WINDOW_SECONDS: Final = 60.0


class Crashes:
    """The latest crashes of one process or server."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._at: deque[float] = deque(maxlen=MAX_CRASHES)

    def add(self, words: str) -> float:
        """Note one that happened now; the seconds to wait before the next start, twice as many each time.

        Raises HaltError, ending in `words`, when it was the MAX_CRASHES-th within CRASH_WINDOW_SECONDS.
        """
        now = time.monotonic()
        recent = [at for at in self._at if now - at < CRASH_WINDOW_SECONDS]
        self._at.append(now)
        if len(recent) + 1 == MAX_CRASHES:
            raise HaltError(
                f"{self._name} crashed {MAX_CRASHES} times within {CRASH_WINDOW_SECONDS:.0f} s, the last time {words}"
            )
        return float(min(_FIRST_PAUSE_SECONDS * 2 ** len(recent), _LONGEST_PAUSE_SECONDS))
