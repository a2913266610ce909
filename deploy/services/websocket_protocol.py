"""uvicorn's WebSocket protocol with the bounds it lacks: a viewer costs little, whatever it sends or does not read.

uvicorn answers every ping at once, however many come, keeps empty fragments without end, and lets a connection that it
closed stay until the last byte is taken. Here frames have a budget, and a connection that was told to end does end.
"""

import asyncio
import socket
from typing import Any, Final

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode

MAX_MESSAGE_BYTES: Final = 4096
PING_SECONDS: Final = 10.0
"""Between two pings of ours, and how long a viewer may leave one unanswered."""
_FRAMES: Final = 60
_FRAMES_SECONDS: Final = 10.0
_LINGER_SECONDS: Final = 5.0
_BUFFER_BYTES: Final = 64 * 1024
"""In the kernel and in the transport each, of what a viewer did not take."""


class BoundedWebSocketProtocol(WebSocketsSansIOProtocol):
    """One connection: at most 60 frames in 10 s, 4 KiB a message, 5 s to end once it is closed."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._frames_left = _FRAMES
        self._frames_since = self.loop.time()
        self._end: asyncio.TimerHandle | None = None
        transport.set_write_buffer_limits(high=_BUFFER_BYTES)
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.write(b"".join(self.conn.data_to_send()))  # a refusal, which uvicorn does not send
            self.close_sent = True
            self._end_soon()
            self.transport.close()

    def handle_events(self) -> None:
        if self.close_sent and self._is_flooded(self.conn.events):
            self.transport.abort()
            return
        if self._is_flooded(self.conn.events):
            self.conn.fail(1008, f"more than {_FRAMES} frames in {_FRAMES_SECONDS:g} s")
            self.queue.put_nowait({"type": "websocket.disconnect", "code": 1008})
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.conn.events.clear()
            self._end_soon()
            self.transport.close()
            return
        super().handle_events()

    def _is_flooded(self, events: list[Any]) -> bool:
        now = self.loop.time()
        if now - self._frames_since >= _FRAMES_SECONDS:
            self._frames_left, self._frames_since = _FRAMES, now
        self._frames_left -= sum(isinstance(event, Frame) and event.opcode is not Opcode.CLOSE for event in events)
        return self._frames_left < 0

    def handle_parser_exception(self) -> None:
        if self.conn.close_sent is not None:
            super().handle_parser_exception()
        else:  # the handshake itself: nothing was begun, and nobody waits
            self.transport.close()
        self._end_soon()

    def handle_close(self, event: Frame) -> None:
        super().handle_close(event)
        self._end_soon()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._end_soon()

    def shutdown(self) -> None:
        super().shutdown()
        self._end_soon()

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "websocket.close":
            self.writable.set()  # the reason goes behind what a slow viewer did not take yet
            self._end_soon()
        await super().send(message)

    async def run_asgi(self) -> None:
        await super().run_asgi()
        self._end_soon()

    def _end_soon(self) -> None:
        if self._end is None and not self.disconnected:
            self._end = self.loop.call_later(_LINGER_SECONDS, self.transport.abort)


WEBSOCKET_OPTIONS: Final[dict[str, Any]] = {
    "ws": BoundedWebSocketProtocol,
    "ws_max_size": MAX_MESSAGE_BYTES,
    "ws_ping_interval": PING_SECONDS,
    "ws_ping_timeout": PING_SECONDS,
    "ws_per_message_deflate": False,
}
"""For uvicorn. Compression is off: it costs memory a viewer, and a small frame could hold a large message."""
