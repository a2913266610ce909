"""What a failed write means: one pure decision over SQLSTATE and the client's errors."""

from enum import Enum
from typing import Final

import psycopg


class Decision(Enum):
    """What the loop does next."""

    RETRY = "wait, then write the whole batch again; no attempt is counted"
    MAKE_PARTITION = "make the missing day partitions, then write the whole batch again"
    ISOLATE = "find the event that cannot be stored and leave it out"
    HALT = "stop loudly; a person has to act"


_RETRY_CLASSES: Final = ("08", "53", "57", "58", "40", "55", "25")
"""Connection, resources, operator intervention (57014: a cancelled statement too), system error, rollback by deadlock
or serialization, object not in the needed state (55P03: lock_timeout), invalid transaction state (25006: read-only)."""
_TIMED_OUT: Final = ("57014", "25P04")
"""statement_timeout (or a cancellation by hand), transaction_timeout."""
_TOO_MANY_CONNECTIONS: Final = "53300"
_ISOLATE_CLASSES: Final = ("22", "54")
_ISOLATE_STATES: Final = ("23502", "23505", "23514")


def decide(error: Exception) -> Decision:
    """The decision for an error that ``Sink.write`` raised. Unknown SQLSTATEs halt: guessing could lose events."""
    if isinstance(error, psycopg.Error) and error.sqlstate is not None:
        return _decide_by_state(error, error.sqlstate)
    if isinstance(error, psycopg.OperationalError):
        return Decision.RETRY  # libpq's own: a connection that broke or timed out
    if isinstance(error, UnicodeError | OverflowError | psycopg.DataError):
        return Decision.ISOLATE
    return Decision.HALT


def may_be_too_much(error: psycopg.Error) -> bool:
    """Whether less at a time might pass: cancelled for its time, or for want of memory or room."""
    sqlstate = error.sqlstate or ""
    return sqlstate in _TIMED_OUT or (sqlstate.startswith("53") and sqlstate != _TOO_MANY_CONNECTIONS)


def _decide_by_state(error: psycopg.Error, sqlstate: str) -> Decision:
    if sqlstate == "23514" and _no_partition(error):
        return Decision.MAKE_PARTITION
    if sqlstate.startswith(_RETRY_CLASSES):
        return Decision.RETRY
    if sqlstate.startswith(_ISOLATE_CLASSES) or sqlstate in _ISOLATE_STATES:
        return Decision.ISOLATE
    return Decision.HALT


def _no_partition(error: psycopg.Error) -> bool:
    # 23514 is also a CHECK constraint; only a missing partition names no constraint
    return error.diag.constraint_name is None
