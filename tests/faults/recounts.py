"""Rollups against recounts of the rows they count, and the balance of what was accepted."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow

from tests.faults.losses import Losses
from tests.faults.scene import KEYS, Scene
from tests.rollup_levels import level_differences

_EVENTS = (
    "SELECT date_trunc('minute', occurred_at, 'UTC'), client_id, event_type, count(*) FROM events GROUP BY 1, 2, 3"
)
_EVENTS_ROLLUP = "SELECT bucket_start, client_id, event_type, events FROM rollup_events_minute"
_RECEIVED = "SELECT date_trunc('minute', received_at, 'UTC'), client_id, count(*) FROM events GROUP BY 1, 2"
_RECEIVED_ROLLUP = "SELECT bucket_start, client_id, stored FROM rollup_intake_minute"
_TYPES = "SELECT client_id, event_type, count(*) FROM events GROUP BY 1, 2"
_LATENCY_ROLLUP = "SELECT client_id, event_type, sum(events)::bigint FROM rollup_latency_minute GROUP BY 1, 2"
_INTAKE = (
    "SELECT coalesce(sum(stored), 0), coalesce(sum(duplicates), 0), coalesce(sum(failed), 0) FROM rollup_intake_minute"
)


def differences(connection: Connection[TupleRow], losses: Losses) -> Iterator[str]:
    """A sentence for each rollup that is not its recount, at every level; rows of dropped partitions still count."""
    rows = losses.rows
    dropped: tuple[list[tuple[Any, ...]], ...] = (
        [(row.occurred_minute, row.client_id, row.event_type) for row in rows],
        [(row.received_minute, row.client_id) for row in rows],
        [(row.client_id, row.event_type) for row in rows],
    )
    compared = (
        ("rollup_events_minute", _EVENTS_ROLLUP, _EVENTS),
        ("rollup_intake_minute", _RECEIVED_ROLLUP, _RECEIVED),
        ("rollup_latency_minute", _LATENCY_ROLLUP, _TYPES),
    )
    for (name, rollup, recount), gone in zip(compared, dropped, strict=True):
        told = _counts(connection, rollup)
        counted = _counts(connection, recount) + Counter(gone)
        if told != counted:
            over, under = told - counted, counted - told
            yield f"{name} is not the recount: {over.total()} too many, {under.total()} too few, as {_one(over, under)}"
    yield from level_differences(connection)


def imbalance(connection: Connection[TupleRow], scene: Scene) -> Iterator[str]:
    """Accepted = stored + duplicate + failed, over all lives of Redis; what an emptied one held and nobody had
    committed was never accounted for."""
    losses = scene.losses
    row = connection.execute(_INTAKE).fetchone()
    assert row is not None
    stored, duplicates, failed = map(int, row)
    with scene.redis_client() as client:
        added = losses.added + int(client.hget(KEYS.events.totals, "added") or 0)
    committed = {
        entry_id
        for (entry_id,) in connection.execute(
            "SELECT entry_id FROM stored_entries WHERE stream = %s AND entry_id = ANY(%s)",
            [KEYS.events.stream, [entry_id for entry_id, _ in losses.entries]],
        )
    }
    accepted = added - sum(events for entry_id, events in losses.entries if entry_id not in committed)
    if accepted != stored + duplicates + failed:
        yield f"accepted {accepted} is not stored {stored} + duplicates {duplicates} + failed {failed}"
    parked = connection.execute("SELECT count(*) FROM failed_events").fetchone()
    if not losses.emptied and parked != (failed,):
        yield f"{failed} events are counted as failed, and {parked} are among the failed ones"


def _counts(connection: Connection[TupleRow], query: str) -> Counter[tuple[Any, ...]]:
    return Counter({row[:-1]: int(row[-1]) for row in connection.execute(query.encode()) if row[-1]})


def _one(over: Counter[tuple[Any, ...]], under: Counter[tuple[Any, ...]]) -> str:
    key, count = next(iter((over or under).items()))
    return f"{count} of {' '.join(map(str, key))}"
