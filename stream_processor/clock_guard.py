"""May the clock be believed, when what it says decides what is deleted? A pure decision.

Two clocks must agree, PostgreSQL's and our own; and time must have gone on evenly, as the leader of maintenance saw it
every few seconds. After a leap of more than a day the clock is watched for a day before anything is dropped: a clock
that was set wrong is noticed and mended meanwhile, a machine that was off for a week only drops a day later.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

TOLERANCE: Final = timedelta(minutes=5)
"""Two clocks may differ by this, and one may step back by this."""
LEAP: Final = timedelta(days=1)
"""Time between two looks at the clock that counts as a leap."""
WATCHED: Final = timedelta(days=1)
"""How long a clock that leapt is watched."""


@dataclass(frozen=True, slots=True)
class ClockSeen:
    """What the leaders saw: the last time, and when the clock leapt to, if ever."""

    last: datetime
    leapt_at: datetime | None = None


def see(seen: ClockSeen | None, now: datetime) -> ClockSeen:
    """What has been seen once ``now`` is; the first look of all is no leap."""
    if seen is None:
        return ClockSeen(now)
    gap = now - seen.last
    if gap > LEAP or gap < -TOLERANCE:
        return ClockSeen(now, now)
    return replace(seen, last=max(seen.last, now))


def distrust(own: datetime, server: datetime, seen: ClockSeen | None) -> str | None:
    """Why nothing may be dropped by these clocks now; None when they can be believed."""
    if abs(own - server) > TOLERANCE:
        return (
            f"the clocks differ: here it is {own.isoformat(timespec='seconds')}, "
            f"in PostgreSQL {server.isoformat(timespec='seconds')}; set them right"
        )
    if seen is not None and (server - seen.last > LEAP or server - seen.last < -TOLERANCE):
        return (
            f"the clock leapt: the processors saw {seen.last.isoformat(timespec='seconds')} last, "
            f"now it is {server.isoformat(timespec='seconds')}"
        )
    if seen is not None and seen.leapt_at is not None and server - seen.leapt_at < WATCHED:
        return f"the clock leapt to {seen.leapt_at.isoformat(timespec='seconds')}; it is watched for a day first"
    return None
