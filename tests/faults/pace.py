"""How fast the producers send together, and when they end."""

import asyncio
import time


class Pace:
    """Events a second over all producers; used from one event loop."""

    def __init__(self, events_per_second: float) -> None:
        self._seconds_an_event = 1 / events_per_second
        self._next = time.monotonic()
        self._stopping = asyncio.Event()

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def stop(self) -> None:
        """Everybody ends; those who wait, at once."""
        self._stopping.set()

    async def take(self, events: int) -> bool:
        """Wait for one's turn to send so many; False when it is time to end."""
        now = time.monotonic()
        self._next = max(self._next, now - 1.0) + events * self._seconds_an_event
        return await self.rest(self._next - now)

    async def rest(self, seconds: float) -> bool:
        """Wait; False when it is time to end."""
        try:
            await asyncio.wait_for(self._stopping.wait(), max(seconds, 0))
        except TimeoutError:
            return True
        return False
