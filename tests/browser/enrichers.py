"""An enricher for the dashboard's tests: it fails for one type of events, with markup in its words."""

from typing import Any

from shared.stream_entry import Block, EventFrame

REFUSED_TYPE = "order.refused"
WORDS = "<img src=x onerror=\"document.title='owned'\"> no such warehouse"


def enrich(_: Block, frame: EventFrame) -> dict[str, Any]:
    """For WEIR_ENRICHERS."""
    if frame.event_type == REFUSED_TYPE:
        raise LookupError(WORDS)
    return {}
