"""What the collector reads from PostgreSQL once a second: rollups of the last minutes, and how many failed.

The rows of a minute are written in the transactions that store, so their sums only grow, and differences are rates.
"""

import time
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from analytics_api.live.growth import MINUTE_SECONDS
from analytics_api.reader import Reader

StoredLabel = str | int
"""An event type, or the number of a latency bucket."""
Counts = dict[tuple[int, Any], int]

_STORED_MINUTES: Final = 2
_INTAKE_MINUTES: Final = 5
_MOST_MINUTES: Final = 120
"""How far back a reading reaches when a backlog is worked off, or PostgreSQL was away."""
_FAILED_SHARE: Final = 20
"""Counting the failed events takes at most one part in so many of the time, however many there are."""


@dataclass(frozen=True, slots=True)
class PostgresReading:
    """One look, for the views of these clients; None is all of them.

    ``stored`` is by minute of storage, ``intake`` by minute of receipt.
    """

    at: float
    clients: frozenset[str | None]
    stored_start: int
    stored: dict[str | None, Counts]
    intake_start: int
    intake: dict[str | None, Counts]
    failed: dict[str | None, int]


class PostgresReader:
    """Reads with the clients that are asked for at the moment."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._read_minute: int | None = None
        self._failed: dict[str | None, int] = {}
        self._failed_of: frozenset[str | None] = frozenset()
        self._count_failed_at = float("-inf")

    async def read(self, clients: Collection[str | None], oldest_age_seconds: float) -> PostgresReading:
        """Three queries, whatever the number of viewers; ``oldest_age_seconds`` is that of what waits to be stored.

        Raises Problem when PostgreSQL is away.
        """
        minute = int(time.time()) // MINUTE_SECONDS
        away = 0 if self._read_minute is None else minute - self._read_minute
        stored_start = minute - min(_STORED_MINUTES + away, _MOST_MINUTES)
        waiting = int(oldest_age_seconds) // MINUTE_SECONDS
        intake_start = minute - min(_INTAKE_MINUTES + away + waiting, _MOST_MINUTES)
        who = {"everybody": None in clients, "clients": [client_id for client_id in clients if client_id is not None]}
        stored: dict[str | None, Counts] = defaultdict(dict)
        for row in await self._reader.rows("live_stored", {**who, "start": _moment(stored_start)}):
            label: StoredLabel = row["bucket"] if row["event_type"] is None else row["event_type"]
            stored[row["client_id"]][_minute(row["bucket_start"]), label] = row["events"]
        intake: dict[str | None, Counts] = defaultdict(dict)
        for row in await self._reader.rows("live_intake", {**who, "start": _moment(intake_start)}):
            for label in ("duplicate", "failed"):
                intake[row["client_id"]][_minute(row["bucket_start"]), label] = row[label]
        at = time.monotonic()
        failed = await self._count_failed(who, frozenset(clients))
        self._read_minute = minute
        return PostgresReading(at, frozenset(clients), stored_start, stored, intake_start, intake, failed)

    async def _count_failed(self, who: dict[str, Any], clients: frozenset[str | None]) -> dict[str | None, int]:
        began = time.monotonic()
        if began >= self._count_failed_at or not clients <= self._failed_of:
            rows = await self._reader.rows("live_failed", who)
            self._failed = dict.fromkeys(clients, 0) | {row["client_id"]: row["failed"] for row in rows}
            self._failed_of = clients
            now = time.monotonic()
            self._count_failed_at = now + _FAILED_SHARE * (now - began)
        return self._failed


def _moment(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * MINUTE_SECONDS, UTC)


def _minute(moment: datetime) -> int:
    return int(moment.timestamp()) // MINUTE_SECONDS
