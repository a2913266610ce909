"""Counts and times every request, outside of all other layers."""

import time

from analytics_api.metrics import AnalyticsMetrics
from shared.answers import AsgiApp, Message, Receive, Scope, Send

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


def measured(app: AsgiApp, metrics: AnalyticsMetrics) -> AsgiApp:
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
            route = getattr(scope.get("route"), "path_format", "unmatched")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            metrics.requests.labels(method, route, status).inc()
            metrics.request_seconds.labels(route).observe(time.perf_counter() - began)

    return measure
