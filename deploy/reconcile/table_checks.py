"""What else must agree inside PostgreSQL: rows, ids, rollups, latencies and failed events are counts of one another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from deploy.reconcile.balance import Difference
from deploy.reconcile.database_snapshot import MOST_IDS, DatabaseSnapshot, Scope

Progress = Callable[[int, int], None]
_DAY: Final = timedelta(days=1)
_LEVELS: Final = {"level_events": "events", "level_latency": "latency", "level_intake": "intake"}


def check_days(snapshot: DatabaseSnapshot, scope: Scope, progress: Progress) -> Iterator[Difference]:
    """Rows = ids = rollup for each client and day of occurred_at, then the rollup of each minute and type.

    ``progress`` is told the days done and how many there are. Raises psycopg.Error.
    """
    rows = snapshot.days(scope)
    for client_id, day, stored, ids, rolled in rows:
        if not stored == ids == rolled:
            yield Difference(
                "rows",
                f"{day}: rows, ids and rollup of the day's events do not agree",
                client_id,
                numbers={"rows": stored, "ids": ids, "rollup": rolled},
                event_ids=_odd_ids(snapshot, client_id, day) if stored != ids else (),
            )
    days = sorted({day for _, day, *_ in rows})
    for done, day in enumerate(days):
        progress(done, len(days))
        yield from _recount(snapshot, scope, day)
    progress(len(days), len(days))


def check_levels(snapshot: DatabaseSnapshot, scope: Scope) -> Iterator[Difference]:
    """Every coarser row = the sum of its minutes, in the whole days of the range. At most 20 of a kind are named."""
    first, last = _midnight(scope.from_at), _midnight(scope.to_at)
    if first < scope.from_at:
        first += _DAY
    for query, what in _LEVELS.items():
        rows = snapshot.ask(query, from_at=first, to_at=last, client_id=scope.client_id, most=MOST_IDS)
        for level, at, client_id, minutes, rolled in rows:
            detail = f"the rollup of {what} by {level} is not the sum of its minutes"
            yield Difference("level", detail, client_id or None, at, {"minutes": minutes, "rollup": rolled})


def check_totals(snapshot: DatabaseSnapshot, scope: Scope) -> Iterator[Difference]:
    """Over all time and by client: stored = rollup = latencies, and no more failed events than failures."""
    for client_id, stored, rolled, latencies, failed, parked in snapshot.ask(
        "client_totals", client_id=scope.client_id
    ):
        if not stored == rolled == latencies:
            numbers = {"stored": stored, "rollup": rolled, "latencies": latencies}
            yield Difference(
                "totals", "stored events, their rollup and their latencies differ", client_id, None, numbers
            )
        if parked > failed:
            numbers = {"failed": failed, "failed_events": parked}
            yield Difference("failed", "more failed events than were counted as failed", client_id, None, numbers)


def check_stored_and_failed(snapshot: DatabaseSnapshot, scope: Scope) -> Iterator[Difference]:
    """No event is stored and failed."""
    for client_id, event_id in snapshot.ask("stored_and_failed", client_id=scope.client_id, most=MOST_IDS):
        yield Difference("stored and failed", "an event is both", client_id, event_ids=(event_id,))


def _midnight(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _odd_ids(snapshot: DatabaseSnapshot, client_id: str, day: date) -> tuple[str, ...]:
    begin = datetime.combine(day, time(tzinfo=UTC))
    rows = snapshot.ask("odd_ids", client_id=client_id, from_at=begin, to_at=begin + timedelta(days=1), most=MOST_IDS)
    return tuple(f"{event_id} ({what})" for event_id, what in rows)


def _recount(snapshot: DatabaseSnapshot, scope: Scope, day: date) -> Iterator[Difference]:
    begin = datetime.combine(day, time(tzinfo=UTC))
    rows = snapshot.ask(
        "rollup_recount",
        from_at=max(begin, scope.from_at),
        to_at=min(begin + timedelta(days=1), scope.to_at),
        client_id=scope.client_id,
    )
    for minute, client_id, event_type, stored, rolled in rows:
        detail = f"the rollup of type {event_type} is not what a recount gives"
        yield Difference("rollup", detail, client_id, minute, {"rows": stored, "rollup": rolled})
