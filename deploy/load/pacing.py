"""When each request of a run is due, and when the run is over."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """`events_per_second` spread evenly, for `seconds`; None is as fast as it goes, and until all is sent."""

    events_per_second: float | None = None
    seconds: float | None = None

    def due_seconds(self, first_event: int) -> float | None:
        """Seconds from the start at which the request with this event, counted from 0, is meant to be sent.

        A response time counts from here, not from when a connection was free: else a slow server would hold
        back the very requests that would have seen it slow ("coordinated omission", Gil Tene).
        """
        return None if self.events_per_second is None else first_event / self.events_per_second

    def is_over(self, elapsed_seconds: float, first_event: int) -> bool:
        """Whether a request with this event comes too late to belong to the run."""
        return self.seconds is not None and max(elapsed_seconds, self.due_seconds(first_event) or 0) >= self.seconds
