"""The entries a loop holds: read, and not settled yet. The reader's thread adds, the writer's removes."""

import threading
from collections.abc import Iterable

from stream_processor.entries import StreamEntry


class InHand:
    """Ids of entries, in stream order when listed. Safe for several threads."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._lock = threading.Lock()

    def add(self, entries: Iterable[StreamEntry]) -> None:
        """Before they are handed over."""
        with self._lock:
            self._ids.update(entry.entry_id for entry in entries)

    def remove(self, entries: Iterable[StreamEntry]) -> None:
        """After they are settled, or left pending for good."""
        with self._lock:
            self._ids.difference_update(entry.entry_id for entry in entries)

    def ids(self) -> frozenset[str]:
        """Those of this moment. Ask before asking Redis what is pending: it holds what is settled in between."""
        with self._lock:
            return frozenset(self._ids)
