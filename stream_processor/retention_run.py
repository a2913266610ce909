"""Dropping what is past retention, without holding up those who store: the plan, and carrying it out.

A day's partition goes in three steps, each short or bounded, and each may be the last one of a process that dies:
detached and renamed (one lock, waited for 0.2 s at most, then tried again later), its ids forgotten page by page, and
dropped. A detached day is found by its name, and finished by whoever comes next.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar

import psycopg
from psycopg import Connection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from shared.failed_events import STALE_REPLAY
from shared.sql_files import load_sql
from stream_processor.retention import Partition, RetentionPolicy, expired

LEADER_LOCK: Final = "SELECT pg_try_advisory_lock(hashtext('weir.maintenance'))"
BLOCKS_A_STEP: Final = 64
"""Pages of a detached day whose ids are forgotten in one transaction: half a MiB, some thousand events."""
ROWS_A_STEP: Final = 2000
_TRIES: Final = 60
_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 10.0

Wait = Callable[[float], bool]
"""Waits for so many seconds; true when the work is to end."""
Show = Callable[[str, int], None]
"""Told a step, and how much of it is done."""
Answer = TypeVar("Answer")


class Interrupted(Exception):  # noqa: N818  no error: what is left is there the next time
    """The work was told to end."""


@dataclass(frozen=True, slots=True)
class RetentionPlan:
    """What would go. ``rollups`` is the number of rows by table; ``partitions`` are oldest first."""

    partitions: list[Partition]
    failed_events: int
    rollups: dict[str, int]
    leftover: list[str]
    """Days that another run detached and did not finish."""

    @property
    def is_empty(self) -> bool:
        return not (self.partitions or self.failed_events or any(self.rollups.values()) or self.leftover)


@dataclass(slots=True)
class RetentionResult:
    """What went."""

    partitions: list[str] = field(default_factory=list)
    put_off: list[str] = field(default_factory=list)
    """Partitions whose lock could not be had: long transactions use their table. The next run tries again."""
    event_ids: int = 0
    failed_events: int = 0
    rollups: dict[str, int] = field(default_factory=dict)


def list_partitions(connection: Connection[Any]) -> list[Partition]:
    """All day partitions, oldest first. Raises psycopg.Error."""
    with connection.cursor(row_factory=class_row(Partition)) as cursor:
        return cursor.execute(load_sql("stream_processor", "list_partitions")).fetchall()


def plan_retention(connection: Connection[Any], policy: RetentionPolicy, now: datetime) -> RetentionPlan:
    """What is past retention at ``now``; changes nothing. Raises psycopg.Error."""
    rollups = {}
    for name in _rollups(connection):
        query = psycopg.sql.SQL("SELECT count(*) FROM {} WHERE bucket_start < %s").format(psycopg.sql.Identifier(name))
        rollups[name] = _value(connection, query, (policy.rollups_before(now),))
    return RetentionPlan(
        expired(list_partitions(connection), policy, now),
        _value(connection, load_sql("stream_processor", "count_expired_failed"), _failed_values(policy, now)),
        rollups,
        [name for (name,) in connection.execute(load_sql("stream_processor", "list_expired")).fetchall()],
    )


class RetentionRun:
    """One run on a connection in autocommit, of the writer or the owner. Raises psycopg.Error, Interrupted."""

    def __init__(self, connection: Connection[Any], wait: Wait, show: Show = lambda _step, _done: None) -> None:
        self._connection = connection
        self._wait = wait
        self._show = show
        self.result = RetentionResult()

    def carry_out(self, plan: RetentionPlan, policy: RetentionPolicy, now: datetime) -> RetentionResult:
        """Drop what the plan says. Each step looks again at what is past retention, by PostgreSQL's own clock too."""
        for name in plan.leftover:
            self.finish(name)
        for partition in plan.partitions:
            self.expire(partition, policy.keep_days(partition.parent))
        self._delete_failed(policy, now)
        self._delete_rollups(policy, now)
        return self.result

    def expire(self, partition: Partition, keep_days: int) -> None:
        """Drop one day that is past retention; PostgreSQL refuses any other."""
        call = psycopg.sql.SQL("SELECT expire_day_partition(%s, %s, %s)")
        self._drop(partition, lambda: _value(self._connection, call, (partition.parent, partition.name, keep_days)))

    def force(self, partition: Partition) -> None:
        """Drop one day whatever its age; only the owner may."""
        call = psycopg.sql.SQL("SELECT detach_day_partition(%s, %s)")
        self._drop(partition, lambda: _value(self._connection, call, (partition.parent, partition.name)))

    def finish(self, detached: str) -> None:
        """Forget the ids of a detached day's events, then drop it."""
        block = 0
        while detached.startswith("expired_events"):
            forgotten = _value(
                self._connection, psycopg.sql.SQL("SELECT forget_ids(%s, %s, %s)"), (detached, block, BLOCKS_A_STEP)
            )
            if forgotten is None:
                break
            self.result.event_ids += forgotten
            block += BLOCKS_A_STEP
            self._show("ids forgotten", self.result.event_ids)
            self._breathe()
        self._patiently(lambda: _value(self._connection, psycopg.sql.SQL("SELECT drop_expired(%s)"), (detached,)))

    def _drop(self, partition: Partition, detach: Callable[[], str]) -> None:
        try:
            detached = self._patiently(detach)
        except psycopg.errors.LockNotAvailable:
            self.result.put_off.append(partition.name)
            return
        except psycopg.errors.UndefinedTable:
            return  # another hand was quicker
        self.finish(detached)
        self.result.partitions.append(partition.name)
        self._show("partitions dropped", len(self.result.partitions))

    def _delete_failed(self, policy: RetentionPolicy, now: datetime) -> None:
        values = {**_failed_values(policy, now), "rows": ROWS_A_STEP}
        while True:
            cursor = self._connection.execute(load_sql("stream_processor", "delete_expired_failed"), values)
            self.result.failed_events += cursor.rowcount
            self._show("failed events deleted", self.result.failed_events)
            if cursor.rowcount < ROWS_A_STEP:
                return
            self._breathe()

    def _delete_rollups(self, policy: RetentionPolicy, now: datetime) -> None:
        before = policy.rollups_before(now)
        for name in _rollups(self._connection):
            self.result.rollups[name] = 0
            while True:
                deleted = _value(
                    self._connection, psycopg.sql.SQL("SELECT expire_rollups(%s, %s, %s)"), (name, before, ROWS_A_STEP)
                )
                if deleted and not sum(self.result.rollups.values()):
                    self._note_rollups(before)
                self.result.rollups[name] += deleted
                self._show("rollup rows deleted", sum(self.result.rollups.values()))
                if deleted < ROWS_A_STEP:
                    break
                self._breathe()

    def _note_rollups(self, before: datetime) -> None:
        """Whoever compares counts over all time must know that there are none from before."""
        note_done(self._connection, "rollups", before)

    def _breathe(self) -> None:
        if self._wait(0.0):
            raise Interrupted

    def _patiently(self, step: Callable[[], Answer]) -> Answer:
        """The step, tried again while its lock is not to be had. Raises LockNotAvailable after the last try."""
        pause = _FIRST_PAUSE_SECONDS
        for _ in range(_TRIES - 1):
            try:
                return step()
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                if self._wait(pause):
                    raise Interrupted from None
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        return step()


def note_done(connection: Connection[Any], task: str, at: datetime, **detail: object) -> None:
    """Write down that a task of maintenance was done. Raises psycopg.Error."""
    connection.execute(load_sql("stream_processor", "note_maintenance"), (task, at, Jsonb(detail)))


def _rollups(connection: Connection[Any]) -> list[str]:
    return [name for (name,) in connection.execute(load_sql("stream_processor", "list_rollups")).fetchall()]


def _failed_values(policy: RetentionPolicy, now: datetime) -> dict[str, Any]:
    return {"before": policy.failed_before(now), "stale_before": now - STALE_REPLAY}


def _value(connection: Connection[Any], query: Any, values: Any) -> Any:
    row = connection.execute(query, values).fetchone()
    return row[0] if row else None
