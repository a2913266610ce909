"""JSON answers: times as RFC 3339 in UTC, payloads passed through as the text PostgreSQL made of them.

A payload is never parsed here, so a number too large for Python or for a double harms nobody on the way.
"""

from typing import Any, Final

import orjson
from fastapi import Response

_OPTIONS: Final = orjson.OPT_UTC_Z


def json_answer(content: Any, status: int = 200) -> Response:
    """The response. Nothing on the way to the reader may keep it: it may be another's tomorrow."""
    headers = {"cache-control": "no-store"}
    return Response(orjson.dumps(content, option=_OPTIONS), status, headers, media_type="application/json")


def embed(text: str | None) -> orjson.Fragment | None:
    """JSON text as part of an answer, unchanged. It must be JSON: jsonb's own text is."""
    return None if text is None else orjson.Fragment(text)


def embed_bytes(payload: bytes) -> orjson.Fragment | None:
    """Bytes as part of an answer, unchanged if they are JSON that every reader takes; None if not."""
    try:
        orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    return orjson.Fragment(payload)
