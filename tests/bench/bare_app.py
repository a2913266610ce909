"""The floor of a request: an ASGI application that reads the body and answers 202, and does nothing else."""

from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]

_BODY = b'{"event_id":"0123456789-000000000","status":"accepted","entry_id":"1790000000000-1"}'
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))]


async def app(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Answers every request alike."""
    if scope["type"] != "http":
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 202, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})
