"""Daily maintenance by one leader: partitions made ahead, and retention. In a thread of its own in every processor.

The advisory lock of the round's connection makes one leader; when it dies, PostgreSQL gives the lock back, and what was
due and is not noted as done is done by the next one: every step may be repeated.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from time import monotonic
from typing import Any, Final

import psycopg
import structlog
from psycopg import Connection

from shared.sql_files import load_sql
from stream_processor.clock_guard import TOLERANCE, ClockSeen, distrust, see
from stream_processor.daily_schedule import is_due
from stream_processor.maintenance_metrics import MaintenanceMetrics, read_notes
from stream_processor.retention import DEFAULT_POLICY, PARENTS, RetentionPolicy, at_most_days, days_between
from stream_processor.retention_run import (
    LEADER_LOCK,
    Interrupted,
    RetentionResult,
    RetentionRun,
    note_done,
    plan_retention,
)

log = structlog.get_logger()

_INTERVAL_SECONDS: Final = 15.0
MOST_DAYS_A_RUN: Final = 8
"""Days of each table that one run by itself drops; the rest goes on the days after, or by hand."""


@dataclass(frozen=True)
class MaintenanceConfig:
    """What is kept, how far ahead partitions are made, and when: times of day in UTC."""

    policy: RetentionPolicy = DEFAULT_POLICY
    days_ahead: int = 7
    partitions_at: time = time(2)
    retention_at: time = time(3)


DEFAULT_MAINTENANCE: Final = MaintenanceConfig()


class Maintenance:
    """``connect`` gives a connection of the writer, in autocommit; each round opens its own."""

    def __init__(
        self, config: MaintenanceConfig, connect: Callable[[], Connection[Any]], metrics: MaintenanceMetrics
    ) -> None:
        self._config = config
        self._connect = connect
        self._metrics = metrics
        self._doubt: str | None = None

    def run(self, stop: threading.Event) -> None:
        """A round at every interval until stopped; PostgreSQL is waited for."""
        while not stop.is_set():
            try:
                self.round(lambda: datetime.now(UTC), stop.wait)
            except Interrupted:
                return
            except psycopg.Error as error:
                self._metrics.count_failure("postgresql")
                log.warning("maintenance.put_off", error=f"{type(error).__name__}: {str(error).strip()}")
            stop.wait(_INTERVAL_SECONDS)

    def round(self, clock: Callable[[], datetime], wait: Callable[[float], bool]) -> bool:
        """What is due, unless another leads; whether this one led. Raises psycopg.Error, Interrupted."""
        with self._connect() as connection:  # closing it gives the lock back
            row = connection.execute(LEADER_LOCK).fetchone()
            leads = row is not None and bool(row[0])
            if leads:
                self._do_what_is_due(connection, clock(), wait)
            self._metrics.show(read_notes(connection))
            return leads

    def _do_what_is_due(self, connection: Connection[Any], ours: datetime, wait: Callable[[float], bool]) -> None:
        server, seen = read_clock(connection)
        doubt = distrust(ours, server, seen)
        note_done(connection, "clock", server, **_clock_detail(see(seen, server)))
        rows = connection.execute("SELECT task, at FROM maintenance").fetchall()
        last = {task: at for task, at in rows if at <= server + TOLERANCE}  # else noted by a clock that was ahead
        if "partitions" not in last or is_due(last["partitions"], server, self._config.partitions_at):
            self._make_ahead(connection, server)
        if "retention" not in last:  # what an upgrade finds is not dropped at once
            note_done(connection, "retention", server)
        elif is_due(last["retention"], server, self._config.retention_at):
            self._tell(doubt)
            if doubt is None:
                self._retain(connection, server, wait)

    def _tell(self, doubt: str | None) -> None:
        """Once, not at every round; the clock is named in it, so it may change from one to the next."""
        if doubt is not None:
            self._metrics.count_failure("clock")
            if self._doubt is None:
                log.warning("retention.refused", reason=doubt)
        self._doubt = doubt

    def _make_ahead(self, connection: Connection[Any], now: datetime) -> None:
        began, today = monotonic(), now.astimezone(UTC).date()
        days = days_between(today, today + timedelta(days=self._config.days_ahead))
        made = sum(make_partition(connection, parent, day) for parent in PARENTS for day in days)
        note_done(connection, "partitions", now, made=made, seconds=_seconds_since(began))
        log.info("partitions.made", days_ahead=self._config.days_ahead, made=made)

    def _retain(self, connection: Connection[Any], now: datetime, wait: Callable[[float], bool]) -> None:
        began, plan = monotonic(), plan_retention(connection, self._config.policy, now)
        capped = replace(plan, partitions=at_most_days(plan.partitions, MOST_DAYS_A_RUN))
        left = len(plan.partitions) - len(capped.partitions)
        if left:
            log.warning("retention.capped", left=left, advice="the rest goes daily, or by `weir retention run`")
        run = RetentionRun(connection, wait)
        try:
            result = run.carry_out(capped, self._config.policy, now)
        finally:
            self._metrics.count_dropped(run.result.partitions)
        rollups = sum(result.rollups.values())
        note_retention(connection, now, result, left=left, seconds=_seconds_since(began))
        log.info(
            "retention.done", partitions=result.partitions, put_off=result.put_off, left=left,
            event_ids=result.event_ids, failed_events=result.failed_events, rollup_rows=rollups,
        )  # fmt: skip


def note_retention(
    connection: Connection[Any], now: datetime, result: RetentionResult, *, left: int, seconds: float
) -> None:
    """Write down that retention was done, and what it left. Raises psycopg.Error."""
    dropped = len(result.partitions)
    note_done(connection, "retention", now, partitions=dropped, put_off=result.put_off, left=left, seconds=seconds)


def read_clock(connection: Connection[Any]) -> tuple[datetime, ClockSeen | None]:
    """PostgreSQL's time, and what the leaders saw of it. Raises psycopg.Error."""
    row = connection.execute(load_sql("stream_processor", "read_clock")).fetchone()
    assert row is not None  # noqa: S101  one row always
    server, last, leapt_at = row
    return server.astimezone(UTC), None if last is None else ClockSeen(last, leapt_at)


def make_partition(connection: Connection[Any], parent: str, day: object) -> bool:
    """Make a day's partition; whether it was missing. Raises psycopg.Error."""
    row = connection.execute("SELECT ensure_day_partition(%s, %s)", (parent, day)).fetchone()
    return bool(row and row[0])


def _seconds_since(began: float) -> float:
    return round(monotonic() - began, 3)


def _clock_detail(seen: ClockSeen) -> dict[str, object]:
    return {} if seen.leapt_at is None else {"leapt_at": seen.leapt_at.isoformat()}
