"""What maintenance tells Prometheus: its notes in PostgreSQL, which outlive processes, and what this process did."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from prometheus_client import CollectorRegistry
from psycopg import Connection

from shared import metric_definitions as definitions
from shared.sql_files import load_sql
from stream_processor.retention import PARENTS

TASKS: Final = ("partitions", "retention")
FAILURES: Final = ("clock", "postgresql")


@dataclass(frozen=True, slots=True)
class MaintenanceNote:
    """When a task was done last; a run that is noted without ``seconds`` had nothing to do."""

    task: str
    at: datetime
    seconds: float
    left: int
    """Partitions past retention that the run left: put off, or beyond what one run drops."""


class MaintenanceMetrics:
    """Safe for several threads. Every processor shows the same notes, so one that never led tells no less."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._last_success = definitions.MAINTENANCE_LAST_SUCCESS.gauge(registry)
        self._seconds = definitions.MAINTENANCE_SECONDS.gauge(registry)
        self._left = definitions.RETENTION_LEFT.gauge(registry)
        self._dropped = definitions.RETENTION_DROPPED.counter(registry)
        self._failures = definitions.MAINTENANCE_FAILURES.counter(registry)
        for task in TASKS:
            self._last_success.labels(task)
            self._seconds.labels(task)
        for parent in PARENTS:
            self._dropped.labels(parent)
        for reason in FAILURES:
            self._failures.labels(reason)

    def show(self, notes: list[MaintenanceNote]) -> None:
        """Set what the notes say."""
        for note in notes:
            self._last_success.labels(note.task).set(note.at.timestamp())
            self._seconds.labels(note.task).set(note.seconds)
            if note.task == "retention":
                self._left.set(note.left)

    def count_dropped(self, partitions: list[str]) -> None:
        """Count partitions that this process has dropped, by their table."""
        for name in partitions:
            self._dropped.labels(name.rpartition("_")[0]).inc()

    def count_failure(self, reason: str) -> None:
        """Count a round that could not do what was due; ``reason`` is one of FAILURES."""
        self._failures.labels(reason).inc()


def read_notes(connection: Connection[Any]) -> list[MaintenanceNote]:
    """What was noted of each task, by whichever processor led. Raises psycopg.Error."""
    rows = connection.execute(load_sql("stream_processor", "maintenance_notes"), (list(TASKS),)).fetchall()
    return [MaintenanceNote(*row) for row in rows]
