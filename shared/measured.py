"""Counts and times every request, outside of all other layers."""

import time
from typing import Final, Protocol

from shared.answers import AsgiApp, Message, Receive, Scope, Send

UNMATCHED: Final = "unmatched"
"""The route of a request that led nowhere, or was refused before a route was looked for."""
_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


class CountRequest(Protocol):
    """Where an answered request is counted. ``method`` is a known one or ``other``."""

    def __call__(self, method: str, route: str, status: int, seconds: float) -> None: ...


def measured(app: AsgiApp, count: CountRequest) -> AsgiApp:
    """``app``, measured. Labels are route templates and known methods: a stranger cannot make new ones."""

    async def measure(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await app(scope, receive, note_status)
        finally:
            route = getattr(scope.get("route"), "path_format", UNMATCHED)
            method = scope["method"] if scope["method"] in _METHODS else "other"
            count(method, route, status, time.perf_counter() - began)

    return measure
