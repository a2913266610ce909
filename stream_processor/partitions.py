"""Day partitions: made ahead, and on demand for late or historic events."""

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from psycopg import Connection

DAYS_AHEAD: Final = 3
_DAY_SECONDS: Final = 86_400
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC).date()


class DayPartitions:
    """Remembers which partitions are there, and makes the missing ones on a connection of its own: a partition is
    committed before the transaction that needs it goes on, and locks nothing there. Safe for several threads.
    """

    def __init__(self, connect: Callable[[], AbstractContextManager[Connection[Any]]]) -> None:
        self._connect = connect
        self._known: set[tuple[str, int]] = set()
        self._lock = threading.Lock()

    def ensure(self, parent: str, days: Iterable[int]) -> None:
        """Make sure the partitions of these days (counted from 1970) are there. Raises psycopg.Error."""
        missing = {day for day in days if (parent, day) not in self._known}
        if not missing:
            return
        with self._lock, self._connect() as connection:
            for day in sorted(missing):
                date = _EPOCH + timedelta(days=day)
                connection.execute("SELECT ensure_day_partition(%s, %s)", (parent, date))
                self._known.add((parent, day))

    def ensure_ahead(self, parent: str) -> None:
        """Make today's partition and those of the next days. Raises psycopg.Error."""
        today = int(time.time()) // _DAY_SECONDS
        self.ensure(parent, range(today, today + DAYS_AHEAD + 1))

    def forget(self) -> None:
        """Look again: a partition that was there is gone, dropped by retention or by hand."""
        self._known.clear()
