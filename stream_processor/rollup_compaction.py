"""The coarser rollups follow: minutes that have ended are added to hours and days, by one processor at a time.

Answers are exact before, after and while it happens (migration 0008), so nothing depends on when it does. The longer
it waits, the more minute rows a question reads; the sooner it comes, the more events are late, and those cost more to
store.
"""

import time
from datetime import UTC, datetime
from typing import Any, Final

import psycopg
from psycopg import Connection

from shared.sql_files import load_sql

GRACE_SECONDS: Final = 60
"""How long after its end a minute still waits for events that are a little late."""
STRIDE_SECONDS: Final = 300
"""Minutes are added in fives: an hour's rows are written 12 times, not 60."""
_ROUND_SECONDS: Final = 5.0


def compaction_target(now_seconds: float) -> datetime:
    """Up to which minute the coarser rollups should reach at that time."""
    due = int(now_seconds) - GRACE_SECONDS
    return datetime.fromtimestamp(due - due % STRIDE_SECONDS, UTC)


def compact_rollups(connection: Connection[Any], target: datetime, round_seconds: float = _ROUND_SECONDS) -> int:
    """Add minutes up to ``target``, in transactions of at most an hour of rows; how many were needed.

    Stops early after ``round_seconds``, and when storing cannot be made to wait just now: the next round goes on.
    Needs a connection in autocommit. Raises psycopg.Error.
    """
    deadline, steps = time.monotonic() + round_seconds, 0
    while time.monotonic() < deadline:
        try:
            row = connection.execute(load_sql("stream_processor", "compact_rollups"), {"target": target}).fetchone()
        except psycopg.errors.LockNotAvailable:
            break
        steps += 1
        if row is None or row[0] >= target:
            break
    return steps
