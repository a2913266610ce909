"""A viewer of the live metrics, as a browser or a script is one: a real WebSocket client."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.analytics_server import AnalyticsUnderTest

PATH = "/api/v1/ws/metrics"


@contextmanager
def viewing(
    api: AnalyticsUnderTest, key: str | None = "", *, subscribe: dict[str, Any] | None = None, **options: Any
) -> Iterator[ClientConnection]:
    """A connection with the admin's key unless told otherwise; it subscribes, to all if nothing else is said."""
    headers = {} if key is None else {"X-API-Key": key or api.admin}
    address = api.base_url.replace("http://", "ws://") + PATH
    with connect(address, additional_headers=headers, open_timeout=20, close_timeout=5, **options) as socket:
        with suppress(ConnectionClosed):  # one too many is told so before it says a word
            socket.send(json.dumps({"type": "subscribe"} | (subscribe or {})))
        yield socket


def next_message(socket: ClientConnection, within_seconds: float = 15) -> Any:
    return json.loads(socket.recv(timeout=within_seconds))


def message_with(socket: ClientConnection, is_it: Callable[[Any], bool], most: int = 25) -> Any:
    """The first message that is so."""
    for _ in range(most):
        message = next_message(socket)
        if is_it(message):
            return message
    raise AssertionError(f"none of {most} messages is so; the last: {message}")


def closing(socket: ClientConnection, within_seconds: float = 20) -> tuple[int, str]:
    """Code and reason with which the server ends the connection; what it says before is passed over."""
    try:
        while True:
            socket.recv(timeout=within_seconds)
    except ConnectionClosed as closed:
        assert closed.rcvd is not None
        return closed.rcvd.code, closed.rcvd.reason
