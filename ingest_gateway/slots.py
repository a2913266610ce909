"""Slots: the requests a gateway has in hand, in all and of one key, so that no key can shut the others out."""

from collections import Counter
from typing import Final

from shared.problems import Problem

_KEY_SHARE: Final = 2
"""One key may have one in so many of all slots."""


class Slots:
    """Counts requests in hand. Used from one event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._most_of_key = -(-most // _KEY_SHARE)
        self._taken = 0
        self._taken_of_key: Counter[str] = Counter()

    def take(self) -> None:
        """Take a slot, before it is known whose. Raises Problem unavailable, with nothing taken, when all are."""
        if self._taken >= self._most:
            raise Problem("unavailable", "too many requests at once; nothing was accepted", retry_after=1)
        self._taken += 1

    def name(self, key_id: str) -> None:
        """Say whose slot it is. Raises Problem rate-limited when the key has its share; the slot is then nobody's."""
        if self._taken_of_key[key_id] >= self._most_of_key:
            detail = (
                f"{self._most_of_key} requests of key {key_id} are in hand here, as many as one key may have at once; "
                "nothing was accepted: send fewer at a time"
            )
            raise Problem("rate-limited", detail, retry_after=1)
        self._taken_of_key[key_id] += 1

    def leave(self, key_id: str | None) -> None:
        """Give a slot back; ``key_id`` is whose it was named to be, or None."""
        self._taken -= 1
        if key_id is not None:
            left = self._taken_of_key[key_id] - 1
            if left:
                self._taken_of_key[key_id] = left
            else:
                del self._taken_of_key[key_id]
