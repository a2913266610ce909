"""One viewer of the tail: what it wants to see, and a bounded queue of what it was not sent yet."""

import asyncio
import random
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final

import orjson

from analytics_api.live.tail_event import server_sent

EVENTS_PER_SECOND: Final = 200
_QUEUE_EVENTS: Final = 400


@dataclass(frozen=True, slots=True)
class TailFilter:
    """``event_types`` empty is every type; ``client_id`` None is every client; ``sample`` is a share."""

    client_id: str | None = None
    event_types: frozenset[str] = frozenset()
    sample: float = 1.0

    def wants(self, event_type: str) -> bool:
        """Whether an event of a client that is wanted is wanted too; by chance, where there is a sample."""
        if self.event_types and event_type not in self.event_types:
            return False
        return self.sample >= 1.0 or random.random() < self.sample  # noqa: S311  no secret


@dataclass(eq=False, slots=True)
class TailViewer:
    """``key_id`` whose it is. Events come in by ``offer``, and go out by ``take``."""

    key_id: str
    wanted: TailFilter
    _pieces: "deque[bytes]" = field(default_factory=deque)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _skipped: int = 0
    _has_gap: bool = False
    _second: int = 0
    _in_second: int = 0

    def admits(self) -> bool:
        """Whether one more event has room in this second and in the queue; else it counts as skipped."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._in_second = second, 0
        if self._in_second >= EVENTS_PER_SECOND or len(self._pieces) >= _QUEUE_EVENTS:
            self._skipped += 1
            self._news.set()
            return False
        self._in_second += 1
        return True

    def offer(self, piece: bytes) -> None:
        """Put it in the queue. Notices come seldom enough to need no bound."""
        self._pieces.append(piece)
        self._news.set()

    def note_gap(self) -> None:
        """Tell that entries went by that were not looked at."""
        self._has_gap = True
        self._news.set()

    async def take(self, within_seconds: float) -> bytes:
        """All that waits, as one chunk; empty when nothing came in time."""
        try:
            async with asyncio.timeout(within_seconds):
                await self._news.wait()
        except TimeoutError:
            return b""
        self._news.clear()
        chunk = b"".join(self._pieces)
        self._pieces.clear()
        if self._skipped or self._has_gap:
            notice = {"skipped": self._skipped, "gap": self._has_gap}
            chunk += server_sent("skipped", orjson.dumps(notice))
            self._skipped, self._has_gap = 0, False
        return chunk
