"""The answer of a tail: a text/event-stream that goes on until the viewer, the key or the process ends it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import orjson
import structlog
from fastapi import Response

from analytics_api.live.event_tail import EventTail
from analytics_api.live.tail_event import server_sent
from analytics_api.live.tail_viewer import TailViewer
from shared.answers import Receive, Scope, Send
from shared.problems import Problem

log = structlog.get_logger()

RETRY_MS: Final = 2000
KEEP_ALIVE_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 1.0
"""Between two looks at the key and at the end of the process."""
_SLOW_SECONDS: Final = 10.0
"""How long one chunk may wait for a viewer that does not read."""
_FAREWELL_SECONDS: Final = 5.0


class TailAnswer(Response):
    """``check_key`` raises Problem once the key may no longer; ``stopping`` is set when the process ends."""

    media_type = "text/event-stream"

    def __init__(
        self, tail: EventTail, viewer: TailViewer, check_key: Callable[[], Awaitable[Any]], stopping: asyncio.Event
    ) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._tail = tail
        self._viewer = viewer
        self._check_key = check_key
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it. The viewer has joined already, and leaves here."""
        parts = [asyncio.create_task(self._tell(send)), asyncio.create_task(_until_gone(receive))]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._tail.leave(self._viewer)
            for part in parts:
                part.cancel()
            told, _ = await asyncio.gather(*parts, return_exceptions=True)
        if isinstance(told, Exception) and not isinstance(told, OSError):
            raise told

    async def _tell(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send(_body(f"retry: {RETRY_MS}\n\n".encode()))
        reason = await self._tell_until_the_end(send)
        log.info("tail.viewer_closed", key_id=self._viewer.key_id, reason=reason)
        with suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await send(_body(server_sent("closed", orjson.dumps({"reason": reason}))))
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _tell_until_the_end(self, send: Send) -> str:
        """Why it ended."""
        idle_seconds = 0.0
        while not self._stopping.is_set():
            try:
                await self._check_key()
            except Problem as problem:
                return problem.detail
            chunk = await self._viewer.take(_LOOK_SECONDS)
            idle_seconds = 0.0 if chunk else idle_seconds + _LOOK_SECONDS
            if idle_seconds >= KEEP_ALIVE_SECONDS:
                chunk, idle_seconds = b": keep-alive\n\n", 0.0
            if not chunk:
                continue
            try:
                async with asyncio.timeout(_SLOW_SECONDS):
                    await send(_body(chunk))
            except TimeoutError:
                return "too slow: this viewer does not take the events; connect again, with a filter or a sample"
        return "the service ends; connect again"


def _body(chunk: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": chunk, "more_body": True}


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
