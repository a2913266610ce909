"""The Prefer header (RFC 7240): what the client would like, as far as the gateway knows it."""

from dataclasses import dataclass

MAX_WAIT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Preferences:
    """``handling=lenient``: accept the good events of a batch. ``wait=N``: answer when stored, within N seconds."""

    lenient: bool = False
    wait_seconds: int = 0


def read_preferences(header: str) -> Preferences:
    """Read the header; what is not understood is ignored, as the RFC asks. ``wait`` is capped at 30 s."""
    if not header:
        return Preferences()
    lenient, wait_seconds = False, 0
    for preference in header.lower().split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        name, value = name.strip(), value.strip().strip('"')
        if name == "handling":
            lenient = value == "lenient"
        elif name == "wait" and value.isascii() and value.isdigit():
            wait_seconds = min(int(value[:6]), MAX_WAIT_SECONDS)
    return Preferences(lenient, wait_seconds)
