"""Places where a test lets a processor die, as by kill -9: between two steps, which no signal from outside can hit.

Off, as always outside of tests, reaching a point costs one comparison.
"""

import os
import signal
from enum import StrEnum


class CrashPoint(StrEnum):
    """Named for what has just happened."""

    NONE = ""
    AFTER_READ = "after_read"
    """Entries are delivered to this consumer, and nothing else is done."""
    IN_COPY = "in_copy"
    """A batch's rows are sent to PostgreSQL, and not that they are all."""
    BEFORE_COMMIT = "before_commit"
    AFTER_COMMIT = "after_commit"
    BEFORE_ACKNOWLEDGING = "before_acknowledging"
    """The batch is known to be committed, and Redis was told of none of it."""
    BEFORE_PARKING = "before_parking"
    """An entry's failed events are noted with the fence, and still to be moved to the dead stream."""
    AFTER_PARKING = "after_parking"
    """One entry's failed events are in the dead stream, and those of the batch's next entry are not."""


_armed = [CrashPoint.NONE]


def arm(point: CrashPoint) -> None:
    """Die at the point when it is next reached, in whichever thread."""
    _armed[0] = point


def reach(point: CrashPoint) -> None:
    """Die here if the point is armed."""
    if _armed[0] is point:
        os.kill(os.getpid(), signal.SIGKILL)
