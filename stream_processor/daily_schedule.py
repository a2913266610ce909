"""When a daily task is due: at its time of day in UTC, once, and late rather than never. Pure."""

from datetime import UTC, datetime, time, timedelta


def last_due(now: datetime, at: time) -> datetime:
    """The latest moment not after ``now`` at which a task of this time of day was due."""
    today = datetime.combine(now.astimezone(UTC).date(), at, UTC)
    return today if today <= now else today - timedelta(days=1)


def is_due(last_done: datetime, now: datetime, at: time) -> bool:
    """Whether it was due since it was done last. A clock that stepped back does not make it due again."""
    return last_done < last_due(now, at)
