"""The events that producers send: valid ones of many shapes, and some that must be refused."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tests.faults.attempts import digest

TYPES = ("order.created", "order.paid", "page/view", "sensor:reading", "user.signed_up")
_WORDS = ("Wehr", "Fluß", "水門", "embankment", "écluse", "überlauf", "\U0001f30a", 'quoted "text"', "back\\slash")


@dataclass(frozen=True, slots=True)
class SentEvent:
    """An event as it goes over the wire, and its payload's digest."""

    wire: dict[str, Any]
    digest: bytes

    @property
    def event_id(self) -> str:
        return str(self.wire["event_id"])

    @property
    def named(self) -> tuple[str, bytes]:
        return self.event_id, self.digest


class EventMaker:
    """Makes the events of one producer; the same seed makes the same ones, but for their times."""

    def __init__(self, prefix: str, random: Random) -> None:
        self._prefix = prefix
        self._random = random
        self._made = 0

    def make(self, *, occurred_at: datetime | None = None) -> SentEvent:
        """A new event; two in ten say when they occurred, up to two days ago."""
        self._made += 1
        if occurred_at is None and self._random.random() < 0.2:
            occurred_at = datetime.now(UTC) - timedelta(seconds=self._random.uniform(0, 172_800))
        return self._event(f"{self._prefix}-{self._made}", occurred_at)

    def repeat(self, event: SentEvent) -> SentEvent:
        """The same id with another payload."""
        return self._event(event.event_id, None)

    def invalid(self) -> SentEvent:
        """An event with an id of its own that must be refused."""
        event = self.make()
        spoilt: dict[str, Any] = self._random.choice([
            {"event_type": "no spaces allowed"}, {"payload": [1]}, {"payload": {"text": "\0"}},
            {"occurred_at": "yesterday"}, {"event_type": ""}, {"occurred_at": "1999-12-31T23:59:59Z"},
        ])  # fmt: skip
        return SentEvent(event.wire | spoilt, event.digest)

    def _event(self, event_id: str, occurred_at: datetime | None) -> SentEvent:
        random = self._random
        payload = {
            "user_id": f"u{random.randrange(10_000)}",
            "amount": round(random.uniform(0, 1000), 2),
            "nonce": random.getrandbits(48),
            "text": " ".join(random.choices(_WORDS, k=random.randint(0, 8))),
            "nested": {"flags": [random.random() < 0.5, None], "depth": {"of": random.randint(-9, 9)}},
        }
        wire = {"event_id": event_id, "event_type": random.choice(TYPES), "payload": payload}
        if occurred_at is not None:
            wire["occurred_at"] = occurred_at.isoformat()
        return SentEvent(wire, digest(payload))
