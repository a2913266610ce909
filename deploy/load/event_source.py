"""Which events a run sends: an id, and all that follows the id, ready as bytes."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

_PLACES = 9  # ids sort as numbers up to a billion events, so the run's own ids come in key order


class EventIds(Protocol):
    """The id of every event of a run, without holding them all."""

    def at(self, place: int) -> str:
        """The id of the event at `place`, counted from 0."""


@dataclass(frozen=True, slots=True)
class FreshIds:
    """Ids that no other run has: a prefix and a number."""

    prefix: str

    @classmethod
    def of_a_new_run(cls) -> FreshIds:
        return cls(f"load-{secrets.token_hex(5)}-")

    def at(self, place: int) -> str:
        return f"{self.prefix}{place:0{_PLACES}}"


@dataclass(frozen=True, slots=True)
class GivenIds:
    """The ids of a file, over and over."""

    ids: Sequence[str]

    def at(self, place: int) -> str:
        return self.ids[place % len(self.ids)]

    def among(self, places: Iterable[int]) -> set[str]:
        """The different ids at these places."""
        return {self.at(place) for place in places}


@dataclass(frozen=True, slots=True)
class EventSource:
    """`count` events, or no end of them: at each place an id, and the tails in turn."""

    ids: FreshIds | GivenIds
    tails: Sequence[bytes]
    """JSON from the closing quote of the id to the closing brace."""
    count: int | None
    earliest: datetime
    """No event of the run occurred before."""

    def event(self, place: int) -> bytes:
        """The event at `place` as JSON. Ids need no escaping: fresh ones by their form, given ones were checked."""
        return b'{"event_id":"%b%b' % (self.ids.at(place).encode(), self.tails[place % len(self.tails)])


def now() -> datetime:
    """The time in UTC, as all times here."""
    return datetime.now(UTC)
