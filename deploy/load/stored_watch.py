"""What became of a run's events in PostgreSQL: how many are stored, how many failed, and how long it took."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from deploy.load.event_source import FreshIds, GivenIds
from deploy.load.tally import Tally
from shared.sql_files import load_sql

_LAST_CHARACTER = "\U0010ffff"
# The gateway stamps received_at, and its clock may be a little behind ours.
_CLOCK_TOLERANCE = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Fate:
    """Where the acknowledged events are: `expected` of them, each under an id of its own, or missing."""

    expected: int
    stored: int
    failed: int

    @property
    def missing(self) -> int:
        return max(0, self.expected - self.stored - self.failed)


@dataclass(frozen=True, slots=True)
class StorageTimes:
    """Acceptance to stored, by `received_at` and `stored_at` of the run's rows."""

    rows: int
    percentiles_ms: dict[str, float]
    last_stored_at: datetime | None


class StoredWatch:
    """Looks at the rows of one run: those of `client_id` with the run's ids. Raises psycopg's errors."""

    def __init__(
        self,
        connection: psycopg.AsyncConnection[Any],
        client_id: str,
        ids: FreshIds | GivenIds,
        began_at: datetime,
        earliest: datetime,
    ) -> None:
        self._connection = connection
        self._ids = ids
        low, given = (ids.prefix, None) if isinstance(ids, FreshIds) else ("", list(set(ids.ids)))
        # Ids that were sent before are told from earlier runs by the time alone; fresh ones need no exact clock.
        since = began_at - _CLOCK_TOLERANCE if given is None else began_at
        self._values = {
            "client_id": client_id,
            "low": low,
            "high": low + _LAST_CHARACTER,
            "ids": given,
            "since": since,
            "earliest": min(earliest, since),
        }
        self._settled_before = 0

    async def begin(self) -> None:
        """Remember what others settled of this client; called before the first request."""
        self._settled_before = await self.settled()

    async def settled(self) -> int:
        """Events stored, found to be duplicates, or failed, since `begin`: from the rollups, so it is cheap."""
        [count] = await self._one("settled_since", self._values)
        return int(count) - self._settled_before

    async def fate(self, tally: Tally) -> Fate:
        """Asks the tables themselves; costs a look at every id of the run."""
        if isinstance(self._ids, FreshIds):
            left = [self._ids.at(place) for request in tally.left for place in request.places]
            [stored] = await self._one("stored_ids_of_run", self._values | {"excepted": left})
            [failed] = await self._one("failed_ids_of_run", self._values)
            return Fate(tally.acknowledged, stored, failed)
        expected = self._ids.among(place for places in tally.kept for place in places)
        values = self._values | {"ids": list(expected)}
        [stored] = await self._one("stored_ids_given", values)
        [failed] = await self._one("failed_ids_given", values)
        return Fate(len(expected), stored, failed)

    async def times(self) -> StorageTimes:
        """The latencies of the rows that this run stored."""
        rows, spans, last = await self._one("stored_latency", self._values)
        names = ("p50", "p95", "p99")
        found = {name: span / timedelta(milliseconds=1) for name, span in zip(names, spans or (), strict=False)}
        return StorageTimes(rows, found, last)

    async def _one(self, query: str, values: dict[str, Any]) -> tuple[Any, ...]:
        cursor = await self._connection.execute(load_sql("deploy.load", query), values)
        row = await cursor.fetchone()
        assert row is not None  # noqa: S101  # every query is an aggregate
        return tuple(row)
