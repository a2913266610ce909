"""Bounds how many exports run at a time: each holds a connection and a snapshot for as long as its reader takes."""

from collections import Counter
from collections.abc import Callable
from typing import Final

from shared.problems import Problem

_RETRY_AFTER_SECONDS: Final = 15


class ExportSlots:
    """The exports of one process, by key. For one event loop."""

    def __init__(self, most: int, most_of_key: int) -> None:
        self._most = most
        self._most_of_key = most_of_key
        self._running: Counter[str] = Counter()

    def take(self, key_id: str) -> Callable[[], None]:
        """Take a slot; what is returned gives it back. Raises Problem: rate-limited, or unavailable for all keys."""
        if self._running[key_id] >= self._most_of_key:
            detail = f"this key has {self._most_of_key} exports under way; wait for one to end"
            raise Problem("rate-limited", detail, retry_after=_RETRY_AFTER_SECONDS)
        if self._running.total() >= self._most:
            detail = f"this server has {self._most} exports under way; send the request again"
            raise Problem("unavailable", detail, retry_after=_RETRY_AFTER_SECONDS)
        self._running[key_id] += 1

        def give_back() -> None:
            self._running[key_id] -= 1
            if not self._running[key_id]:
                del self._running[key_id]

        return give_back
