"""An enricher that fails for some events, for WEIR_ENRICHERS."""

from typing import Any

from shared.stream_entry import Block, EventFrame


def refuse_some(_: Block, frame: EventFrame) -> dict[str, Any]:
    """Fails for events whose id begins with "refused"."""
    if frame.event_id.startswith("refused"):
        raise ValueError("refused")
    return {}
