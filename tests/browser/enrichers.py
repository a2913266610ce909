"""An enricher for the dashboard's tests: it fails for one type of events."""

from typing import Any

from shared.stream_entry import Block, EventFrame

REFUSED_TYPE = "order.refused"


def enrich(_: Block, frame: EventFrame) -> dict[str, Any]:
    """For WEIR_ENRICHERS."""
    if frame.event_type == REFUSED_TYPE:
        raise LookupError("no such warehouse")
    return {}
