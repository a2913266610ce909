"""What the producers know: each attempt at each event, how it ended, and what was sent."""

import hashlib
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import orjson

DIGEST_BYTES = 8


class Outcome(Enum):
    """How an attempt ended, as far as its producer can know."""

    OK = b"o"
    """202 or 200."""
    REFUSED = b"r"
    """4xx: nothing of it was kept."""
    UNKNOWN = b"u"
    """5xx, a time-out, a cut connection."""


def digest(payload: Any) -> bytes:
    """Of a payload as JSON: neither the order of its fields nor its white space count."""
    return hashlib.blake2b(orjson.dumps(payload, option=orjson.OPT_SORT_KEYS), digest_size=DIGEST_BYTES).digest()


@dataclass(frozen=True, slots=True)
class History:
    """All attempts at one event, in the order in which they ended; nobody sends an event twice at once."""

    attempts: tuple[tuple[Outcome, bytes], ...]

    @property
    def acknowledged(self) -> bool:
        return any(outcome is Outcome.OK for outcome, _ in self.attempts)

    @property
    def may_be_stored(self) -> set[bytes]:
        """The digests that may be: what was acknowledged or unknown; after an acknowledgement the first one has won."""
        digests = set()
        for outcome, sent in self.attempts:
            if outcome is not Outcome.REFUSED:
                digests.add(sent)
            if outcome is Outcome.OK:
                break
        return digests

    @property
    def sent(self) -> set[bytes]:
        """The digests that may be, when an acknowledged one may have been lost with Redis's data."""
        return {sent for outcome, sent in self.attempts if outcome is not Outcome.REFUSED}


@dataclass
class AttemptLog:
    """Safe for several threads. An event is named ``client NUL event_id``."""

    requests: dict[str, int] = field(default_factory=dict)
    """The status of each request by its X-Request-ID; 0 where no answer came."""
    secrets: set[str] = field(default_factory=set)
    """What must be found nowhere: the beginnings of all planted ones, and those of the producers' keys."""
    said_stored: set[str] = field(default_factory=set)
    """Events whose request was answered 200: they were committed by then."""
    attempts: int = 0
    acknowledged: int = 0
    _histories: dict[str, bytes] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, client_id: str, events: Iterable[tuple[str, bytes]], outcome: Outcome) -> None:
        """An attempt at events, given as id and digest, ended so."""
        with self._lock:
            for event_id, sent in events:
                name = f"{client_id}\0{event_id}"
                before = self._histories.get(name, b"")
                self._histories[name] = before + outcome.value + sent
                self.attempts += 1
                if outcome is Outcome.OK and Outcome.OK.value not in before[:: DIGEST_BYTES + 1]:
                    self.acknowledged += 1

    def note_request(self, request_id: str, status: int) -> None:
        with self._lock:
            self.requests[request_id] = status

    def histories(self) -> Iterator[tuple[str, History]]:
        """All events with what was done to them. The producers have ended."""
        for name, packed in self._histories.items():
            yield name, _unpack(packed)

    def history(self, name: str) -> History | None:
        packed = self._histories.get(name)
        return None if packed is None else _unpack(packed)


def _unpack(packed: bytes) -> History:
    step = DIGEST_BYTES + 1
    parts = (packed[at : at + step] for at in range(0, len(packed), step))
    return History(tuple((Outcome(part[:1]), part[1:]) for part in parts))
