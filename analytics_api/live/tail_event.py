"""One event as the tail shows it. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from analytics_api.json_answer import embed_bytes
from shared.stream_entry import Block, EventFrame

MAX_PAYLOAD_BYTES: Final = 2048
"""Of a larger payload the tail shows the beginning, as text."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def tail_event(block: Block, frame: EventFrame) -> bytes:
    """JSON."""
    truncated = len(frame.payload) > MAX_PAYLOAD_BYTES
    beginning = frame.payload[:MAX_PAYLOAD_BYTES].decode(errors="ignore") if truncated else None
    event: dict[str, Any] = {
        "event_id": frame.event_id,
        "client_id": block.client_id,
        "event_type": frame.event_type,
        "occurred_at": _moment(block.received_us if frame.occurred_us is None else frame.occurred_us),
        "received_at": _moment(block.received_us),
        "payload": None if truncated else embed_bytes(frame.payload),
        "payload_beginning": beginning,
        "truncated": truncated,
        "replayed": block.replayed,
    }
    return orjson.dumps(event, option=orjson.OPT_UTC_Z)


def server_sent(event: str, data: bytes, event_id: str = "") -> bytes:
    """One event of a text/event-stream; ``data`` is JSON, which has no line breaks of its own."""
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {event}\ndata: ".encode() + data + b"\n\n"


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
