"""Sleeping that an event ends early, thousands of times a second: one task waits for the event, not one a sleep."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class InterruptibleSleep:
    """Sleeps until ``stop`` is set. Used from one event loop; ``watch`` must run meanwhile."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop
        self._sleepers: set[asyncio.Future[None]] = set()

    async def watch(self) -> None:
        """Wake all sleepers once the event is set."""
        await self._stop.wait()
        for sleeper in self._sleepers:
            _wake(sleeper)

    async def stopped_within(self, seconds: float) -> bool:
        """Wait so long, or less when the event is set; whether it is."""
        if seconds > 0 and not self._stop.is_set():
            loop = asyncio.get_running_loop()
            sleeper: asyncio.Future[None] = loop.create_future()
            self._sleepers.add(sleeper)
            timer = loop.call_later(seconds, _wake, sleeper)
            try:
                await sleeper
            finally:
                self._sleepers.discard(sleeper)
                timer.cancel()
        return self._stop.is_set()


def _wake(sleeper: asyncio.Future[None]) -> None:
    with suppress(asyncio.InvalidStateError):
        sleeper.set_result(None)
