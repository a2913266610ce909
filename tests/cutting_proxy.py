"""A TCP proxy that hands everything on until it is told to swallow the answers."""

import asyncio
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit


class CuttingProxy:
    """Stands before a server on loopback. With `cut_answers` the next answer never arrives: the connection ends."""

    def __init__(self, url: str) -> None:
        self._behind = urlsplit(url)
        self.cut_answers = False
        self._copies: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._server.close()
        for copy in self._copies:
            copy.cancel()

    @property
    def url(self) -> str:
        """That of the server behind, but by way of the proxy."""
        port = self._server.sockets[0].getsockname()[1]
        credentials = self._behind.netloc.rpartition("@")[0]
        return urlunsplit(self._behind._replace(netloc=f"{credentials}@127.0.0.1:{port}"))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(self._behind.hostname, self._behind.port)
        for copy in (self._copy(reader, up_writer, answers=False), self._copy(up_reader, writer, answers=True)):
            task = asyncio.create_task(copy)
            self._copies.add(task)
            task.add_done_callback(self._copies.discard)

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool) -> None:
        try:
            while chunk := await source.read(65_536):
                if answers and self.cut_answers:
                    break
                sink.write(chunk)
                await sink.drain()
        finally:
            sink.close()
