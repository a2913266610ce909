"""Failed events: their classes, what to do about each, and whether one may be put back. Pure; reads nothing."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

SAME_KIND_LIMIT: Final = 3
"""Failures of one kind (reason and SQLSTATE) in a row after which a replay must be forced."""
STALE_REPLAY: Final = timedelta(minutes=10)
"""A replay that has neither stored its event nor failed by then may be repeated: Redis may have lost it."""


class Reason(StrEnum):
    """Why an event was given up."""

    INVALID_DATA = "invalid_data"
    """PostgreSQL, or the making of its row, refused the event."""
    UNREADABLE_ENTRY = "unreadable_entry"
    """The entry is not what Weir writes."""
    ENRICHER_FAILED = "enricher_failed"
    """An enricher raised, or returned what is not JSON."""
    CRASHED_PROCESSOR = "crashed_processor"
    """Processors died while they had it in hand, alone."""
    RETRIES_EXHAUSTED = "retries_exhausted"
    """It failed as often as WEIR_MAX_ATTEMPTS allows, for causes that looked as if they would pass."""


NEXT_STEPS: Final[dict[str, str]] = {
    Reason.INVALID_DATA: "PostgreSQL cannot take this event: mend it at its producer and send it again under a new id",
    Reason.UNREADABLE_ENTRY: "see who writes to Weir's streams; the bytes are kept here as they were found",
    Reason.ENRICHER_FAILED: "mend the enricher named in the detail, then replay, or wait for the scheduled retry",
    Reason.CRASHED_PROCESSOR: "see the processors' logs for why they died; mend that, then replay",
    Reason.RETRIES_EXHAUSTED: "see the detail and the processors' logs; mend the cause, then replay",
}
_OTHER_STEP: Final = "look at the detail, mend the cause, then replay"
STOPPED_STEP: Final = "it keeps failing in the same way: mend the cause first, then replay with force"
RETRIED: Final = frozenset((Reason.ENRICHER_FAILED, Reason.CRASHED_PROCESSOR, Reason.RETRIES_EXHAUSTED))
"""The classes whose cause may pass by itself, so that the schedule tries them again."""


def next_step(reason: str) -> str:
    """What an operator does about a class."""
    return NEXT_STEPS.get(reason, _OTHER_STEP)


@dataclass(frozen=True)
class RetryPolicy:
    """When the schedule puts an event back: after base, base x factor, base x factor^2, ... seconds, at most cap."""

    interval_seconds: float
    base_seconds: float
    factor: float
    cap_seconds: float
    most_tries: int


NO_RETRIES: Final = RetryPolicy(interval_seconds=600, base_seconds=600, factor=1, cap_seconds=600, most_tries=0)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which failed events; None is any. The range is half-open and about the last failure."""

    client_id: str | None = None
    event_type: str | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    ids: tuple[int, ...] | None = None
    """Of ``failed_events``."""
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class FailedEvent:
    """A row of ``failed_events`` without its payload."""

    id: int
    client_id: str
    event_id: str | None
    event_type: str | None
    occurred_at: datetime | None
    received_at: datetime | None
    reason: str
    sqlstate: str | None
    detail: str
    attempts: int
    same_kind_failures: int
    first_failed_at: datetime
    last_failed_at: datetime
    next_step: str
    replays: int
    retries: int
    replayed_at: datetime | None
    next_retry_at: datetime | None
    payload_bytes: int


def is_being_replayed(event: FailedEvent, now: datetime) -> bool:
    """Whether a replay is under way, as far as one can know."""
    return event.replayed_at is not None and event.replayed_at > now - STALE_REPLAY


def refusal(event: FailedEvent, now: datetime, *, force: bool) -> str | None:
    """Why an event may not be replayed; None when it may. ``force`` overrules the guard against loops alone."""
    if event.event_id is None or event.event_type is None or event.received_at is None:
        return "it is not an event of a producer: there is no stream to put it back on"
    if is_being_replayed(event, now):
        return "it is being replayed: wait for what becomes of it"
    if event.same_kind_failures >= SAME_KIND_LIMIT and not force:
        return f"it failed {event.same_kind_failures} times in the same way: mend the cause, then replay with force"
    return None
