"""An answer that is made while it is sent: it begins when its first piece is there, and is whole or cut, never short.

A task of its own reads a few pieces ahead, and ends when nobody takes them. What fails before the first piece is an
ordinary problem; what fails later ends the connection without the end of the body (without HTTP's last chunk), so that
the client sees that it has not got all. A client that goes away ends the task, and with it the query.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Final

import structlog
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from analytics_api.queries.event_export import IDLE_SECONDS
from analytics_api.queries.export_formats import ExportFormat
from analytics_api.reader import Row

log = structlog.get_logger()

LONGEST_SECONDS: Final = 3600
_PIECES_AHEAD: Final = 2
_running: set["asyncio.Task[None]"] = set()  # the event loop itself keeps only weak references


class ExportCutError(Exception):
    """An export failed after its answer had begun; the connection ends with it."""


class ExportStream:
    """The pieces of a file. ``release`` is called once, when the task that makes them has ended."""

    def __init__(self, pieces: AsyncGenerator[bytes, None], release: Callable[[], None]) -> None:
        self._pieces = pieces
        self._room = asyncio.Semaphore(_PIECES_AHEAD)
        self._made: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._make())
        _running.add(self._task)
        self._task.add_done_callback(_running.discard)
        self._task.add_done_callback(lambda _: release())

    async def first(self) -> bytes:
        """The first piece. Raises what went wrong before it."""
        try:
            made = await self._made.get()
        except asyncio.CancelledError:
            self.stop()
            raise
        if isinstance(made, Exception):
            raise made
        return made or b""

    async def rest(self, first: bytes) -> AsyncIterator[bytes]:
        """All pieces, beginning with the first. Raises ExportCutError when they do not reach the end."""
        yield first
        while True:
            self._room.release()
            made = await self._made.get()
            if made is None:
                return
            if isinstance(made, Exception):
                log.warning("export.cut", error=type(made).__name__, detail=str(made))
                raise ExportCutError("the export ends here: the rest could not be read") from made
            if made:
                yield made

    def stop(self) -> None:
        """End the task, if it has not ended; not waited for."""
        self._task.cancel()

    async def _make(self) -> None:
        outcome: Exception | None = None
        try:
            async with asyncio.timeout(LONGEST_SECONDS), aclosing(self._pieces) as pieces:
                async for piece in pieces:
                    async with asyncio.timeout(IDLE_SECONDS):
                        await self._room.acquire()
                    self._made.put_nowait(piece)
        except Exception as error:  # noqa: BLE001  told by first() or rest()
            outcome = error
        self._made.put_nowait(outcome)


class ExportResponse(StreamingResponse):
    """Sends a stream. ``first`` has been taken from it already."""

    def __init__(self, stream: ExportStream, first: bytes, format_: ExportFormat) -> None:
        headers = {
            "cache-control": "no-store",
            "content-type": format_.media_type,
            "content-disposition": f'attachment; filename="events.{format_.suffix}"',
        }
        super().__init__(stream.rest(first), headers=headers)
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._stream.stop()


async def file_pieces(pages: AsyncGenerator[list[Row], None], format_: ExportFormat) -> AsyncGenerator[bytes, None]:
    """The file of these rows, piece by piece; the first comes with the first page."""
    head = format_.head()
    async with aclosing(pages):
        async for rows in pages:
            yield head + await asyncio.to_thread(format_.page, rows)
            head = b""
    yield head + await asyncio.to_thread(format_.tail)
