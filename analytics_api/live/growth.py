"""What cumulative counts by minute grew by, from one reading to the next. Pure."""

from collections import Counter
from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

Label = TypeVar("Label", bound=Hashable)

MINUTE_SECONDS = 60


class MinuteGrowth(Generic[Label]):
    """Counts that only grow, kept by minute (counted from 1970) and label, each reading a range that ends now."""

    def __init__(self) -> None:
        self._before: Mapping[tuple[int, Label], int] | None = None
        self._start_minute = 0

    def advance(self, start_minute: int, counts: Mapping[tuple[int, Label], int]) -> "Counter[Label]":
        """What was added since the reading before; nothing at the first one.

        A count that was not there began at 0, unless its minute was out of the range then. One that sank (an event that
        had failed is stored by a replay; Redis lost its data) adds nothing.
        """
        grown: Counter[Label] = Counter()
        before = self._before
        if before is not None:
            for (minute, label), count in counts.items():
                unknown = 0 if minute >= self._start_minute else count
                added = count - before.get((minute, label), unknown)
                if added > 0:
                    grown[label] += added
        self._before, self._start_minute = counts, start_minute
        return grown
