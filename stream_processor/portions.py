"""How much of a batch goes into one transaction: all of it, unless PostgreSQL has shown that it cannot take as much."""

from typing import Final

REFUSALS: Final = 3
"""Failures of one and the same portion that may be due to its size, after which half of it is tried."""


class PortionSize:
    """Halved down to one entry, doubled by each success until it is no bound any more."""

    def __init__(self) -> None:
        self._most: int | None = None
        self._refusals = 0

    def of(self, entries: int) -> int:
        """Of so many entries, how many to write now."""
        return entries if self._most is None else min(entries, self._most)

    def refused(self, entries: int) -> bool:
        """A portion of so many failed as too large ones do; whether it is to be made smaller."""
        self._refusals += 1
        if self._refusals < REFUSALS or entries == 1:
            return False
        self._refusals = 0
        self._most = entries // 2
        return True

    def written(self, entries: int) -> None:
        """A portion of so many was written."""
        self._refusals = 0
        if self._most is not None and entries >= self._most:
            self._most *= 2
            if self._most > LARGEST:
                self._most = None


LARGEST: Final = 20_000
"""More entries than any batch has."""
