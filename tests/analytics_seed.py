"""Rows as a processor would have stored them: events, their ids and the rollups, consistent with one another."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import psycopg

_next = count()


@dataclass(frozen=True)
class SeedEvent:
    """An event in the past. `payload` is JSON text."""

    client_id: str = "acme"
    event_type: str = "order.created"
    occurred_at: datetime = datetime(2026, 3, 10, 12, tzinfo=UTC)
    payload: str = "{}"
    event_id: str = field(default_factory=lambda: f"e{next(_next):08}")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def seed(database_url: str, events: Iterable[SeedEvent]) -> list[SeedEvent]:
    """Stores them in one transaction; returns them."""
    rows = list(events)
    with psycopg.connect(database_url) as connection:
        for day in {event.occurred_at.date() for event in rows}:
            connection.execute("SELECT ensure_day_partition('events', %s)", (day,))
        cursor = connection.cursor()
        cursor.executemany(
            "INSERT INTO event_ids VALUES (%s, %s, %s, 0)",
            [(event.client_id, event.event_id, event.occurred_at) for event in rows],
        )
        cursor.executemany(
            'INSERT INTO events VALUES (%s, %s, %s, %s, %s, %s, %s, \'{"gateway": "g1"}\')',
            [
                (e.client_id, e.event_id, e.event_type, e.occurred_at, e.occurred_at, e.occurred_at, e.payload)
                for e in rows
            ],
        )
        minutes = Counter(
            (event.occurred_at.replace(second=0, microsecond=0), event.client_id, event.event_type) for event in rows
        )
        cursor.executemany(
            "INSERT INTO rollup_events_minute VALUES (%s, %s, %s, %s, 0) "
            "ON CONFLICT (bucket_start, client_id, event_type) "
            "DO UPDATE SET events = rollup_events_minute.events + excluded.events",
            [(*key, number) for key, number in minutes.items()],
        )
    return rows


def seed_failed(database_url: str, **columns: Any) -> None:
    now = datetime.now(UTC)
    row = {
        "client_id": "acme", "event_id": "f1", "event_type": "order.created", "occurred_at": now, "received_at": now,
        "payload": b'{"a": 1}', "reason": "numeric_value_out_of_range", "sqlstate": "22003", "detail": "too large",
        "attempts": 3, "first_failed_at": now, "last_failed_at": now, "next_step": "mend it and replay",
    } | columns  # fmt: skip
    _insert(database_url, "failed_events", row)


def seed_call(database_url: str, **columns: Any) -> None:
    now = datetime.now(UTC) - timedelta(seconds=1)
    row: dict[str, Any] = {
        "at": now, "service": "gateway", "instance": "g1", "client_id": "acme", "key_id": "k", "method": "POST",
        "endpoint": "/api/v1/events/batch", "path": "/api/v1/events/batch", "query": "", "status": 202, "error": "",
        "duration_us": 1500, "bytes_in": 10, "address": "127.0.0.1", "user_agent": "test", "request_id": "r",
    } | columns  # fmt: skip
    with psycopg.connect(database_url) as connection:
        connection.execute("SELECT ensure_day_partition('audit_logs', %s)", (row["at"].date(),))
    _insert(database_url, "audit_logs", row)


def _insert(database_url: str, table: str, row: dict[str, Any]) -> None:
    with psycopg.connect(database_url) as connection:
        names, places = ", ".join(row), ", ".join(["%s"] * len(row))
        connection.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", list(row.values()))
