"""What a viewer may do to the live metrics' WebSocket: nothing that harms others. And what it may rely on."""

import json
import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.sync.client import ClientConnection, connect

from tests.analytics_server import AnalyticsUnderTest, serve_analytics
from tests.live_viewer import PATH, closing, next_message, viewing
from tests.waiting import eventually


@pytest.fixture
def api(database_url: str, redis_url: str) -> Iterator[AnalyticsUnderTest]:
    """With a viewer that watches all the while, and is told each second to the end."""
    with serve_analytics(database_url, redis_url) as api, viewing(api) as viewer:
        next_message(viewer)
        yield api
        for _ in range(2):
            assert next_message(viewer)["type"] == "metrics"


def opened(api: AnalyticsUnderTest) -> ClientConnection:
    address = api.base_url.replace("http://", "ws://") + PATH
    return connect(address, additional_headers={"X-API-Key": api.admin}, open_timeout=20, close_timeout=5)


def test_one_that_never_subscribes_is_closed_in_time(api: AnalyticsUnderTest) -> None:
    with opened(api) as viewer:
        assert closing(viewer)[0] == 4408


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("no json", 4400),
        ('{"type": "unknown"}', 4400),
        ('{"type": "subscribe", "client_id": 7}', 4400),
        ('{"type": "subscribe", "client_id": "a\\u0000"}', 4400),
        ('{"type": "subscribe", "more": 1}', 4400),
        ("[" * 4000, 4400),
        (b"\x00\xff", 1003),
        ("x" * 5000, 1009),
    ],
)
def test_what_is_not_understood_closes_with_a_code(api: AnalyticsUnderTest, said: str | bytes, code: int) -> None:
    with opened(api) as viewer:
        viewer.send(said)
        found, reason = closing(viewer)
        assert found == code
        assert "no json" not in reason


def test_a_ping_in_json_is_answered(api: AnalyticsUnderTest) -> None:
    with viewing(api) as viewer:
        viewer.send('{"type": "ping"}')
        eventually(lambda: next_message(viewer) == {"type": "pong"}, what="a pong comes")


def flood(viewer: ClientConnection, frames: bytes) -> None:
    """Sends for as long as the other side lets it; it must end that."""
    viewer.socket.settimeout(20)
    deadline = time.monotonic() + 20
    with pytest.raises(OSError, match=r".*"):
        while time.monotonic() < deadline:
            viewer.socket.sendall(frames)
    assert time.monotonic() < deadline


@pytest.mark.parametrize("kind", ["pings", "empty fragments", "messages"])
def test_a_flood_ends_its_own_connection(api: AnalyticsUnderTest, kind: str) -> None:
    frames = {
        "pings": Frame(Opcode.PING, b"x" * 125).serialize(mask=True, extensions=[]),
        "empty fragments": Frame(Opcode.CONT, b"", fin=False).serialize(mask=True, extensions=[]),
        "messages": Frame(Opcode.TEXT, b'{"type": "ping"}').serialize(mask=True, extensions=[]),
    }[kind]
    with viewing(api) as viewer:
        if kind == "empty fragments":
            viewer.socket.sendall(Frame(Opcode.TEXT, b"", fin=False).serialize(mask=True, extensions=[]))
        flood(viewer, frames * 50)


def test_one_that_reads_nothing_is_dropped(api: AnalyticsUnderTest) -> None:
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", int(api.base_url.rpartition(":")[2])))
        handshake = (
            f"GET {PATH} HTTP/1.1\r\nHost: x\r\nX-API-Key: {api.admin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        slow.sendall(handshake.encode())
        slow.sendall(Frame(Opcode.TEXT, b'{"type": "subscribe"}').serialize(mask=True, extensions=[]))
        eventually(lambda: len(api.live.collector._watchers) == 2, what="both watch")
        eventually(lambda: len(api.live.collector._watchers) == 1, within_seconds=60, what="the deaf one is dropped")


def test_a_handshake_with_too_long_a_header_is_refused(api: AnalyticsUnderTest) -> None:
    with socket.create_connection(("127.0.0.1", int(api.base_url.rpartition(":")[2])), timeout=20) as raw:
        raw.sendall(
            f"GET {PATH} HTTP/1.1\r\nHost: x\r\nX-Long: {'x' * 20_000}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        assert raw.recv(100).startswith(b"HTTP/1.1 431")


def test_a_handshake_without_its_headers_is_refused(api: AnalyticsUnderTest) -> None:
    with socket.create_connection(("127.0.0.1", int(api.base_url.rpartition(":")[2])), timeout=20) as raw:
        raw.sendall(f"GET {PATH} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n".encode())
        assert raw.recv(100).startswith(b"HTTP/1.1 4")


def test_a_path_that_takes_no_websockets_says_so(api: AnalyticsUnderTest) -> None:
    from websockets.exceptions import InvalidStatus

    address = api.base_url.replace("http://", "ws://") + "/api/v1/events"
    with pytest.raises(InvalidStatus) as caught, connect(address, additional_headers={"X-API-Key": api.admin}):
        pass
    assert caught.value.response.status_code == 404
    assert json.loads(caught.value.response.body)["type"] == "/problems/not-found"


def test_random_bytes_end_their_connection(api: AnalyticsUnderTest) -> None:
    with opened(api) as viewer:
        viewer.socket.sendall(os.urandom(300))
        try:
            found: Any = closing(viewer)
        except (ConnectionClosed, AssertionError) as ended:
            found = ended
        assert found
