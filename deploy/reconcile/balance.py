"""The balance: accepted = stored + duplicate + failed + in flight, by client and minute of receipt. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shared.accepted_counts import Account

MISSING = "missing"
SURPLUS = "surplus"
NO_COUNT = "no count"


@dataclass(frozen=True, slots=True)
class Intake:
    """What PostgreSQL says became of the events of an account."""

    stored: int = 0
    duplicates: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        return self.stored + self.duplicates + self.failed


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that does not agree, with its numbers, and the event ids that could be found."""

    kind: str
    detail: str
    client_id: str | None = None
    minute: datetime | None = None
    numbers: Mapping[str, int] = field(default_factory=dict)
    event_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Readings:
    """What was read, in this order: counts in Redis, the streams, one snapshot of PostgreSQL, the counts once more.

    An account whose count grew between the two looks is open. For every other, each accepted event was in the streams
    when they were read, or stored before: so the snapshot, which came later, has it, or it is in flight.
    """

    counted_before: Mapping[Account, int]
    counted_after: Mapping[Account, int]
    """Both with the counts that PostgreSQL has: a count is in Redis, in PostgreSQL or, for a while, in both."""
    intake: Mapping[Account, Intake]
    in_flight: Mapping[Account, int]
    """In an entry of the event stream that no committed transaction has stored."""


@dataclass(frozen=True, slots=True)
class Balance:
    """The sums over all accounts that were judged, and where they do not agree."""

    accounts: int
    open_accounts: int
    accepted: int
    stored: int
    duplicates: int
    failed: int
    in_flight: int
    differences: tuple[Difference, ...]


def judge_balance(readings: Readings, first_minute: int) -> Balance:
    """Compare the two sides; minutes before ``first_minute``, when counting began, have no count to compare with."""
    accounts = {
        account
        for account in {*readings.counted_after, *readings.counted_before, *readings.intake, *readings.in_flight}
        if account[0] >= first_minute and account[1]  # no client: an entry of another hand, that nobody accepted
    }
    open_accounts = {account for account in accounts if _is_open(readings, account)}
    judged = sorted(accounts - open_accounts)
    intakes = [readings.intake.get(account, Intake()) for account in judged]
    return Balance(
        accounts=len(judged),
        open_accounts=len(open_accounts),
        accepted=sum(readings.counted_before.get(account, 0) for account in judged),
        stored=sum(intake.stored for intake in intakes),
        duplicates=sum(intake.duplicates for intake in intakes),
        failed=sum(intake.failed for intake in intakes),
        in_flight=sum(readings.in_flight.get(account, 0) for account in judged),
        differences=tuple(found for account in judged if (found := _difference(readings, account)) is not None),
    )


def minute_time(minute: int) -> datetime:
    """The beginning of a minute that is counted from 1970."""
    return datetime.fromtimestamp(minute * 60, UTC)


def _is_open(readings: Readings, account: Account) -> bool:
    return readings.counted_after.get(account, 0) > readings.counted_before.get(account, 0)


def _difference(readings: Readings, account: Account) -> Difference | None:
    minute, client_id = account
    accepted, intake = readings.counted_before.get(account), readings.intake.get(account, Intake())
    in_flight = readings.in_flight.get(account, 0)
    off = (accepted or 0) - intake.total - in_flight
    if off == 0:
        return None
    if accepted is None:
        kind, detail = NO_COUNT, "Redis has no count for this minute: it lost its data, or was emptied"
    elif off > 0:
        kind, detail = MISSING, f"{off} accepted events are neither stored, nor failed, nor in flight"
    else:
        kind, detail = SURPLUS, f"{-off} events more than were accepted: Redis lost counts, or something ran twice"
    numbers = {
        "accepted": accepted or 0,
        "stored": intake.stored,
        "duplicates": intake.duplicates,
        "failed": intake.failed,
        "in_flight": in_flight,
    }
    return Difference(kind, detail, client_id, minute_time(minute), numbers)
