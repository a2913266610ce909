"""The side of PostgreSQL: everything read in one snapshot, so that its tables agree with one another."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg

from deploy.reconcile.balance import Intake
from deploy.reconcile.stream_counts import WaitingEntry
from shared.accepted_counts import Account
from shared.sql_files import load_sql

_IDS = 1000
MOST_IDS = 20
"""Event ids that one difference names."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is looked at; ``from_at`` and ``to_at`` are whole minutes, half-open."""

    from_at: datetime
    to_at: datetime
    client_id: str | None


class DatabaseSnapshot:
    """Queries of one REPEATABLE READ transaction. Every method may raise psycopg.Error."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def ask(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        """The rows of one of our queries."""
        return self._connection.execute(load_sql("deploy.reconcile", query), values).fetchall()

    def counting_since(self) -> int:
        """The first whole minute in which accepted events were counted."""
        return int(self.ask("counting_since")[0][0])

    def copied_counts(self, scope: Scope) -> dict[tuple[int, Account], int]:
        """By shard and account."""
        rows = self.ask("copied_counts", **_values(scope))
        return {(shard, (minute, client_id)): accepted for minute, client_id, shard, accepted in rows}

    def intake(self, scope: Scope) -> dict[Account, Intake]:
        rows = self.ask("intake", **_values(scope))
        return {(minute, client_id): Intake(*counts) for minute, client_id, *counts in rows}

    def in_flight(self, waiting: Sequence[WaitingEntry]) -> Counter[Account]:
        """The events of those entries that no committed transaction has stored."""
        by_stream: dict[str, dict[str, WaitingEntry]] = defaultdict(dict)
        for entry in waiting:
            by_stream[entry.stream][entry.entry_id] = entry
        counts: Counter[Account] = Counter()
        for stream, entries in by_stream.items():
            ids = list(entries)
            for start in range(0, len(ids), _IDS):
                chunk = ids[start : start + _IDS]
                fenced = {row[0] for row in self.ask("fenced_entries", stream=stream, entry_ids=chunk)}
                for entry_id in chunk:
                    if entry_id not in fenced:
                        counts.update(entries[entry_id].events)
        return counts

    def days(self, scope: Scope) -> list[tuple[str, date, int, int, int]]:
        """Client, day, and its rows, ids and rollup."""
        rows = self.ask("days", from_day=scope.from_at, to_day=scope.to_at, client_id=scope.client_id)
        return [(client_id, day, stored, ids, rolled) for client_id, day, stored, ids, rolled in rows]


@contextmanager
def database_snapshot(url: str) -> Iterator[DatabaseSnapshot]:
    """A snapshot from its first query on, read-only. Raises psycopg.Error."""
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        with connection.transaction():
            yield DatabaseSnapshot(connection)


def _values(scope: Scope) -> dict[str, Any]:
    return {"from_at": scope.from_at, "to_at": scope.to_at, "client_id": scope.client_id}
