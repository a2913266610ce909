"""An operator's connection for partitions and retention: as the owner, never beside the processors' leader."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

import psycopg
from psycopg import Connection

from shared.errors import Outage, RefusedRequest, SchemaError
from stream_processor.clock_guard import distrust
from stream_processor.maintenance import make_partition, note_retention, read_clock
from stream_processor.retention import Partition, RetentionPolicy, is_expired
from stream_processor.retention_run import (
    LEADER_LOCK,
    RetentionPlan,
    RetentionResult,
    RetentionRun,
    list_partitions,
    plan_retention,
)

CONNECT_SECONDS: Final = 10
Show = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class KnownPartition:
    """A partition, and whether it is past its retention by PostgreSQL's clock."""

    partition: Partition
    is_expired: bool


class Keeper:
    """What can be asked and done; every call blocks. Raises Outage, SchemaError, RefusedRequest."""

    def __init__(self, database_url: str, policy: RetentionPolicy) -> None:
        self._url = database_url
        self._policy = policy

    def partitions(self) -> list[KnownPartition]:
        """All of them, oldest first."""
        with self._connection() as connection:
            now, _ = read_clock(connection)
            return [
                KnownPartition(one, is_expired(one, self._policy.keep_days(one.parent), now))
                for one in list_partitions(connection)
            ]

    def create(self, parents: Sequence[str], days: Sequence[date]) -> list[str]:
        """Make the partitions of these days; the names of those that were missing."""
        with self._connection() as connection:
            return [
                f"{parent}_{day:%Y%m%d}"
                for parent in parents
                for day in days
                if make_partition(connection, parent, day)
            ]

    def plan(self, *, force: bool) -> tuple[RetentionPlan, datetime]:
        """What is past retention, and by which time. Refuses when the clocks cannot be believed, unless forced."""
        with self._connection() as connection:
            server, seen = read_clock(connection)
            doubt = distrust(datetime.now(UTC), server, seen)
            if doubt is not None and not force:
                raise RefusedRequest(409, "conflict", f"nothing is dropped, for {doubt}; --force believes the clock")
            return plan_retention(connection, self._policy, server), server

    def carry_out(self, plan: RetentionPlan, now: datetime, show: Show) -> RetentionResult:
        """Drop what the plan says, and note it as the daily run would. Refuses while a processor is at it."""
        with self._alone() as connection:
            began = time.monotonic()
            result = RetentionRun(connection, _wait, show).carry_out(plan, self._policy, now)
            note_retention(connection, now, result, left=0, seconds=round(time.monotonic() - began, 3))
            return result

    def drop(self, partitions: Sequence[Partition], show: Show) -> RetentionResult:
        """Drop these partitions, whatever their age, and forget their ids. Refuses while a processor is at it."""
        with self._alone() as connection:
            run = RetentionRun(connection, _wait, show)
            for partition in partitions:
                run.force(partition)
            return run.result

    @contextmanager
    def _alone(self) -> Iterator[Connection[Any]]:
        with self._connection() as connection:
            row = connection.execute(LEADER_LOCK).fetchone()
            if row is None or not row[0]:
                raise RefusedRequest(
                    409, "conflict", "a processor does maintenance at this moment: try again in a minute"
                )
            yield connection

    @contextmanager
    def _connection(self) -> Iterator[Connection[Any]]:
        try:
            with psycopg.connect(self._url, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
                yield connection
        except psycopg.OperationalError as error:
            raise Outage("postgresql", " ".join(str(error).split()), sqlstate=error.sqlstate) from error
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction) as error:
            reason = error.diag.message_primary
            raise SchemaError(f"{reason}: run `weir db migrate` first", sqlstate=error.sqlstate) from error


def _wait(seconds: float) -> bool:
    time.sleep(seconds)
    return False
