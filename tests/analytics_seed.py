"""Rows as a processor would have stored them: events, their ids and the rollups, consistent with one another."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import psycopg

from shared.sql_files import load_sql

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
        minutes = Counter((_minute(event.occurred_at), event.client_id, event.event_type) for event in rows)
        add_to_rollups(connection, events=minutes)
    return rows


def add_to_rollups(
    connection: psycopg.Connection[Any],
    events: Mapping[tuple[int, str, str], int] | None = None,
    latencies: Mapping[tuple[str, str, int], int] | None = None,
    stored_at: datetime | None = None,
) -> None:
    """As a processor does: events by minute since 1970, client and type; latencies by client, type and bucket."""
    columns = list(zip(*(events or {}), strict=True)) or [(), (), ()]
    latency_columns = list(zip(*(latencies or {}), strict=True)) or [(), (), ()]
    values: dict[str, Any] = {
        "event_minutes": columns[0], "event_clients": columns[1], "event_types": columns[2],
        "event_counts": (events or {}).values(), "event_bytes": (events or {}).values(),
        "stored_minute": [_minute(stored_at or datetime.now(UTC))], "latency_clients": latency_columns[0],
        "latency_types": latency_columns[1], "latency_buckets": latency_columns[2],
        "latency_counts": (latencies or {}).values(),
        **{f"intake_{name}": () for name in ("minutes", "clients", "stored", "duplicates", "conflicting", "failed")},
    }  # fmt: skip
    parameters = {name: list(column) for name, column in values.items()}
    parameters["stored_minute"] = parameters["stored_minute"][0]
    connection.execute(load_sql("stream_processor", "add_to_rollups"), parameters)


def _minute(moment: datetime) -> int:
    return int(moment.timestamp()) // 60


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
