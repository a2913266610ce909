"""What an answer of the gateway means for the request that was sent."""

from __future__ import annotations

from enum import Enum

_DEFAULT_RETRY_SECONDS = 1.0
_LONGEST_RETRY_SECONDS = 60.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0


class Verdict(Enum):
    """The gateway's promises, as far as a sender has to act on them."""

    KEPT = "kept"  # 2xx: every event is safe
    LATER = "later"  # 429, 503: nothing was kept, send the same again when told
    UNKNOWN = "unknown"  # other 5xx: kept or not, send the same ids again
    REFUSED = "refused"  # other 4xx: nothing was kept, and the same would be refused again


def judge(status: int) -> Verdict:
    """The verdict for an HTTP status; what is no final status of HTTP counts as unknown."""
    if 200 <= status < 300:
        return Verdict.KEPT
    if status in (408, 429, 503):
        return Verdict.LATER
    return Verdict.REFUSED if 400 <= status < 500 else Verdict.UNKNOWN


def retry_after_seconds(value: bytes | None) -> float:
    """The pause that a Retry-After field asks for, at most a minute; 1 s if it is missing or a date."""
    if value is None or not value.isdigit():
        return _DEFAULT_RETRY_SECONDS
    return min(float(value), _LONGEST_RETRY_SECONDS)


def pause_seconds(failures: int) -> float:
    """The pause after so many failures in a row of one request: 0.1 s, doubling, at most 5 s."""
    return float(min(_FIRST_PAUSE_SECONDS * 2 ** min(failures - 1, 10), _LONGEST_PAUSE_SECONDS))
