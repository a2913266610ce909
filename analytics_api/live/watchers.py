"""Who watches, with bounds: so many in all, so many a key, and a short queue each."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_QUEUE_MESSAGES: Final = 8


class CrowdedError(Exception):
    """There are as many watchers as may be; the text says of which kind."""


@dataclass(eq=False)
class Watcher:
    """One viewer. ``view`` is whose data it sees, None being everybody's, once ``is_subscribed``."""

    key_id: str
    is_admin: bool
    view: str | None = None
    is_subscribed: bool = False
    messages: "asyncio.Queue[str]" = field(default_factory=lambda: asyncio.Queue(_QUEUE_MESSAGES))
    too_slow: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, message: str) -> None:
        """Put a message in its queue; one that does not take them is marked, and its connection ends."""
        try:
            self.messages.put_nowait(message)
        except asyncio.QueueFull:
            self.too_slow.set()


class Watchers:
    """All viewers of one kind in this process."""

    def __init__(self, most: int, most_a_key: int) -> None:
        self._most = most
        self._most_a_key = most_a_key
        self._watchers: set[Watcher] = set()
        self._of_key: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._watchers)

    def __iter__(self) -> Iterator[Watcher]:
        return iter(tuple(self._watchers))

    def add(self, watcher: Watcher) -> None:
        """Raises CrowdedError."""
        if len(self._watchers) >= self._most:
            raise CrowdedError(f"this process serves at most {self._most} live viewers (WEIR_LIVE_VIEWERS)")
        if self._of_key[watcher.key_id] >= self._most_a_key:
            raise CrowdedError(f"a key may have {self._most_a_key} live viewers (WEIR_LIVE_VIEWERS_PER_KEY)")
        self._watchers.add(watcher)
        self._of_key[watcher.key_id] += 1

    def remove(self, watcher: Watcher) -> None:
        """Again is harmless."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)
            self._of_key[watcher.key_id] -= 1
            self._of_key += Counter()
