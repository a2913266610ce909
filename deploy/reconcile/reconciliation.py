"""One run of ``weir reconcile``: read both sides in the order that makes them comparable, compare, name differences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import redis

from deploy.reconcile.balance import MISSING, Balance, Difference, Readings, judge_balance
from deploy.reconcile.database_snapshot import MOST_IDS, DatabaseSnapshot, Scope, database_snapshot
from deploy.reconcile.stream_counts import read_counts, read_waiting, remembered_ids, waiting_ids
from deploy.reconcile.table_checks import check_days, check_levels, check_stored_and_failed, check_totals
from shared.accepted_counts import Account
from shared.stream_status import read_stream_status

Counts = Mapping[tuple[int, Account], int]
Progress = Callable[[str, int, int | None], None]
"""Told the step, how far it is, and how far it goes, if that is known."""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What was found. ``failing`` are the failed events on their way into their table."""

    balance: Balance
    failing: int
    differences: tuple[Difference, ...]

    @property
    def agrees(self) -> bool:
        return not self.differences


def reconcile(client: redis.Redis, database_url: str, shards: int, scope: Scope, progress: Progress) -> Reconciliation:
    """Prove the balance, or name what differs. Safe under load: see ``Readings``.

    Blocks for as long as the tables take to be read. Raises redis.RedisError and psycopg.Error.
    """
    balance = _read_balance(client, database_url, shards, scope, progress)
    tables: list[Difference] = []
    with database_snapshot(database_url) as snapshot:
        progress("rows, ids, rollups", 0, None)
        tables += check_days(snapshot, scope, lambda done, days: progress("rows, ids, rollups", done, days))
        progress("rollups by hour and day", 0, None)
        tables += check_levels(snapshot, scope)
        progress("totals", 0, None)
        tables += check_totals(snapshot, scope)
        tables += check_stored_and_failed(snapshot, scope)
    if balance.differences:
        # What is real is still there at a second look; what a restart or a failover moved under our eyes is not.
        seen = {(one.client_id, one.minute) for one in balance.differences}
        balance = _read_balance(client, database_url, shards, scope, progress)
        confirmed = [one for one in balance.differences if (one.client_id, one.minute) in seen]
        named = [_with_ids(client, database_url, shards, one) for one in confirmed]
        balance = replace(balance, differences=tuple(named))
    dead = sum(one.length for one in read_stream_status(client, shards) if one.name == "dead")
    return Reconciliation(balance, dead, (*balance.differences, *tables))


def _read_balance(client: redis.Redis, database_url: str, shards: int, scope: Scope, progress: Progress) -> Balance:
    progress("accepted counts", 0, None)
    before = read_counts(client, shards)
    waiting = read_waiting(client, shards, lambda entries: progress("events in flight", entries, None))
    progress("balance", 0, None)
    with database_snapshot(database_url) as snapshot:
        copied = snapshot.copied_counts(scope)
        intake = snapshot.intake(scope)
        in_flight = snapshot.in_flight(waiting)
        first_minute = snapshot.counting_since()
    after = read_counts(client, shards)
    readings = Readings(
        counted_before=_in_scope(_by_account(before, copied), scope),
        counted_after=_in_scope(_by_account(after, copied), scope),
        intake=intake,
        in_flight=_in_scope(in_flight, scope),
    )
    return judge_balance(readings, first_minute)


def _by_account(counts: Counts, copied: Counts) -> Counter[Account]:
    """A shard's count is in Redis, in PostgreSQL or, for a while, in both: the greater one is the later one."""
    sums: Counter[Account] = Counter()
    for shard, account in {**counts, **copied}:
        sums[account] += max(counts.get((shard, account), 0), copied.get((shard, account), 0))
    return sums


def _in_scope(counts: Mapping[Account, int], scope: Scope) -> dict[Account, int]:
    low, high = _minute(scope.from_at), _minute(scope.to_at)
    return {
        (minute, client_id): count
        for (minute, client_id), count in counts.items()
        if low <= minute < high and scope.client_id in (None, client_id)
    }


def _minute(at: datetime) -> int:
    return int(at.timestamp()) // 60


def _with_ids(client: redis.Redis, database_url: str, shards: int, found: Difference) -> Difference:
    """Ids that were accepted and are nowhere, as far as the early filter remembers them; else those in flight."""
    if found.kind != MISSING or found.minute is None or found.client_id is None:
        return found
    account = (_minute(found.minute), found.client_id)
    remembered = remembered_ids(client, shards, account)
    in_flight = waiting_ids(client, shards, account, 1_000_000)
    with database_snapshot(database_url) as snapshot:
        lost = _unaccounted(snapshot, found.client_id, remembered - set(in_flight))
    return replace(found, event_ids=tuple([*lost, *(f"{one} (in flight)" for one in in_flight)][:MOST_IDS]))


def _unaccounted(snapshot: DatabaseSnapshot, client_id: str, event_ids: set[str]) -> list[str]:
    rows = snapshot.ask("unaccounted_ids", client_id=client_id, event_ids=sorted(event_ids), most=MOST_IDS)
    return [event_id for (event_id,) in rows]
