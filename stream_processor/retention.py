"""What is past retention: pure decisions over partition bounds and one moment, all in UTC.

A day goes when even its youngest possible row is past retention. A partition without two ends is never one of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

PARENTS: Final = ("events", "audit_logs")


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """Days that each kind of row is kept. ``event_ids`` have none of their own: an id lives as long as its event."""

    event_days: int = 90
    audit_days: int = 90
    failed_event_days: int = 90
    rollup_days: int = 400
    fence_days: int = 1

    def keep_days(self, parent: str) -> int:
        """Of a partitioned table."""
        return self.event_days if parent == "events" else self.audit_days

    def rollups_before(self, now: datetime) -> datetime:
        """Rollups from before this moment go. They outlive the events they count, whatever the settings say.

        A day more than the events, as those go by whole days; and a whole day, so that no minute is left in part.
        """
        days = max(self.rollup_days, self.event_days + 1)
        return floor_day(now - timedelta(days=days))

    def failed_before(self, now: datetime) -> datetime:
        """Failed events that failed last before this moment go."""
        return now - timedelta(days=self.failed_event_days)


DEFAULT_POLICY: Final = RetentionPolicy()


@dataclass(frozen=True, slots=True)
class Partition:
    """A day's partition; ``rows`` is estimated, ``bytes`` includes indexes. A missing end is one without bound."""

    parent: str
    name: str
    range_start: datetime | None
    range_end: datetime | None
    bytes: int = 0
    rows: int = 0


def is_expired(partition: Partition, keep_days: int, now: datetime) -> bool:
    """Whether all it can hold is older than ``keep_days`` (a day at least) at ``now``, which must have a zone."""
    if partition.range_start is None or partition.range_end is None:
        return False
    if partition.range_end - partition.range_start > timedelta(days=1):
        return False  # another hand's; what is not by days is not ours to drop
    return partition.range_end <= now - timedelta(days=max(keep_days, 1))


def expired(partitions: Iterable[Partition], policy: RetentionPolicy, now: datetime) -> list[Partition]:
    """Those past retention, oldest first."""
    found = [one for one in partitions if is_expired(one, policy.keep_days(one.parent), now)]
    return sorted(found, key=lambda one: (one.range_start or now, one.parent))


def at_most_days(partitions: Iterable[Partition], most: int) -> list[Partition]:
    """The first ``most`` of each parent: what one run by itself may drop, so that a mistake goes slowly."""
    counts = dict.fromkeys(PARENTS, 0)
    kept = []
    for one in partitions:
        counts[one.parent] += 1
        if counts[one.parent] <= most:
            kept.append(one)
    return kept


def floor_day(moment: datetime) -> datetime:
    """The beginning of its UTC day."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def days_between(first: date, last: date) -> list[date]:
    """All days from the first to the last, both included."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]
