"""How fast the producers send together, and when they end."""

import asyncio
import time


class Pace:
    """Events a second over all producers; used from one event loop."""

    def __init__(self, events_per_second: float) -> None:
        self._per_event = 1 / events_per_second
        self._next = time.monotonic()
        self.stopping = False

    async def take(self, events: int) -> bool:
        """Wait for one's turn; False when it is time to end."""
        now = time.monotonic()
        self._next = max(self._next, now - 1.0) + events * self._per_event
        while not self.stopping and (left := self._next - time.monotonic()) > 0:
            await asyncio.sleep(min(left, 0.2))
        return not self.stopping

    async def rest(self, seconds: float) -> bool:
        """Wait before something is tried again; False when it is time to end."""
        deadline = time.monotonic() + seconds
        while not self.stopping and (left := deadline - time.monotonic()) > 0:
            await asyncio.sleep(min(left, 0.2))
        return not self.stopping
