"""What the gateway answered in a run, kept while it goes on."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from deploy.load.event_source import now
from deploy.load.latency_histogram import LatencyHistogram
from deploy.load.load_request import LoadRequest


class _Answer(msgspec.Struct):
    """What the two ingest calls answer, as far as it is counted here."""

    accepted: int = 0
    duplicates: int = 0
    status: str = ""


_decoder = msgspec.json.Decoder(_Answer)


@dataclass(slots=True)
class Tally:
    """Counts of events and requests so far, and the gateway's response times."""

    sent_events: int = 0
    """Events of requests that were sent at least once."""
    accepted: int = 0
    duplicates: int = 0
    own_duplicates: int = 0
    """Those among the duplicates whose request had been cut before: probably the run's own first try."""
    refused: int = 0
    requests: int = 0
    """Every exchange, however it ended."""
    throttled_requests: int = 0
    failed_requests: int = 0
    """Cut, timed out, or answered 5xx other than 503."""
    refusal: str = ""
    """What the first refused request was told."""
    last_failure: str = ""
    left: list[LoadRequest] = field(default_factory=list)
    """Given up, or not answered when the run was stopped: their fate is unknown."""
    kept: list[range] = field(default_factory=list)
    """The places of the events that are acknowledged."""
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)
    began_at: datetime = field(default_factory=now)
    began: float = field(default_factory=time.perf_counter)
    ended: float | None = None

    def begin(self) -> None:
        """The first request is about to be sent."""
        self.began_at, self.began = now(), time.perf_counter()

    @property
    def acknowledged(self) -> int:
        """Events the gateway said are safe, now or before."""
        return self.accepted + self.duplicates

    @property
    def left_events(self) -> int:
        """Events whose fate is unknown."""
        return sum(request.events for request in self.left)

    @property
    def seconds(self) -> float:
        """From the start of sending to its end, or to now."""
        return (self.ended or time.perf_counter()) - self.began

    @property
    def since_began(self) -> float:
        """Seconds from the start of sending to now."""
        return time.perf_counter() - self.began

    def keep(self, request: LoadRequest, body: bytes, *, cut_before: bool) -> None:
        """Counts an answer of 2xx: every event of the request is safe."""
        answer = _decoder.decode(body)
        duplicates = answer.duplicates + (answer.status == "duplicate")
        self.duplicates += duplicates
        self.own_duplicates += duplicates if cut_before else 0
        self.accepted += request.events - duplicates
        self.kept.append(request.places)

    def refuse(self, request: LoadRequest, told: str) -> None:
        """Counts a request of which nothing was kept and that would be refused again."""
        self.refused += request.events
        self.refusal = self.refusal or told

    def failed(self, told: str) -> None:
        """Counts an exchange after which nobody knows what was kept."""
        self.failed_requests += 1
        self.last_failure = told
