"""The end of a run in figures: a table for people, a document for programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from deploy.load.stored_watch import Fate, StorageTimes
from deploy.load.tally import Tally

_PERCENTS = {"p50": 50, "p95": 95, "p99": 99}


@dataclass(frozen=True, slots=True)
class Storage:
    """What PostgreSQL said after the run; `seconds` from the first request to the last row."""

    fate: Fate
    times: StorageTimes
    settled: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """Events and requests of one run. What is None could not be seen from here."""

    url: str
    client_id: str | None
    stopped_by: int | None
    """The number of the signal that ended it before its time."""
    seconds: float
    generator_cpu_share: float
    """CPU seconds of the generator itself a second, of one core."""
    sent: int
    accepted: int
    duplicates: int
    own_duplicates: int
    refused: int
    unknown: int
    requests: int
    throttled_requests: int
    failed_requests: int
    requests_per_second: float
    events_per_second: float
    response_ms: dict[str, float | None]
    stored: int | None
    failed: int | None
    in_flight: int | None
    lost: int | None
    stored_seconds: float | None
    stored_per_second: float | None
    storage_ms: dict[str, float] | None
    refusal: str
    last_failure: str

    @property
    def interrupted(self) -> bool:
        """Whether it is the run so far only."""
        return self.stopped_by is not None

    @property
    def sound(self) -> bool:
        """Whether every event sent is stored, or was found to be stored before."""
        flaws = (self.refused, self.unknown, self.failed, self.in_flight, self.lost)
        return not any(flaws)

    def as_document(self) -> dict[str, Any]:
        return asdict(self) | {"interrupted": self.interrupted}


def summarise(
    tally: Tally,
    storage: Storage | None,
    *,
    url: str,
    client_id: str | None,
    cpu_seconds: float,
    stopped_by: int | None,
) -> Summary:
    """The summary of what was counted and seen."""
    # Once all accepted events are settled, what has no row is lost; before that it may still come.
    missing = storage.fate.missing if storage else None
    all_settled = storage is not None and storage.settled >= tally.accepted
    return Summary(
        url=url,
        client_id=client_id,
        stopped_by=stopped_by,
        seconds=tally.seconds,
        generator_cpu_share=cpu_seconds / tally.seconds,
        sent=tally.sent_events,
        accepted=tally.accepted,
        duplicates=tally.duplicates,
        own_duplicates=tally.own_duplicates,
        refused=tally.refused,
        unknown=tally.left_events,
        requests=tally.requests,
        throttled_requests=tally.throttled_requests,
        failed_requests=tally.failed_requests,
        requests_per_second=tally.requests / tally.seconds,
        events_per_second=tally.acknowledged / tally.seconds,
        response_ms={name: tally.latency.percentile_ms(percent) for name, percent in _PERCENTS.items()},
        stored=storage.fate.stored if storage else None,
        failed=storage.fate.failed if storage else None,
        in_flight=None if missing is None else 0 if all_settled else missing,
        lost=None if missing is None else missing if all_settled else 0,
        stored_seconds=storage.seconds if storage else None,
        stored_per_second=_rate(storage),
        storage_ms=storage.times.percentiles_ms if storage else None,
        refusal=tally.refusal,
        last_failure=tally.last_failure,
    )


def stored_seconds(began_at: datetime, times: StorageTimes) -> float | None:
    """From the first request to the last row of the run; None when it stored no row."""
    return None if times.last_stored_at is None else (times.last_stored_at - began_at).total_seconds()


def _rate(storage: Storage | None) -> float | None:
    if storage is None or not storage.seconds or storage.seconds <= 0:
        return None
    return storage.times.rows / storage.seconds
