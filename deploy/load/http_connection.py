"""A lean HTTP/1.1 client: one connection, one request at a time, over asyncio's streams.

A general client costs several times as much CPU a request, and would be what a run on few cores measures.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass

from deploy.load.gateway_address import GatewayAddress

_BUFFER_BYTES = 1024 * 1024


class ExchangeCutError(Exception):
    """The connection failed before the whole answer came: whether the request was served is unknown."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """Status, body, and the one header field a sender acts on."""

    status: int
    body: bytes
    retry_after: bytes | None


class HttpConnection:
    """Opened at the first request, kept alive, and opened again after a cut."""

    def __init__(self, address: GatewayAddress, timeout_seconds: float) -> None:
        self._address = address
        self._timeout_seconds = timeout_seconds
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open(self) -> None:
        """Connect now, so that the first exchange need not. Whatever prevents it, the first exchange will tell."""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(self._timeout_seconds):
                await self._open()

    async def exchange(self, wire: bytes) -> HttpAnswer:
        """Send one request and wait for its answer. Never sends twice. Raises ExchangeCutError."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._exchange(wire)
        except TimeoutError:
            self.close()
            raise ExchangeCutError(f"no answer within {self._timeout_seconds:g} s") from None
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            self.close()
            raise ExchangeCutError(str(error) or type(error).__name__) from error
        except asyncio.CancelledError:
            self.close()
            raise

    def close(self) -> None:
        """Drop the connection; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _exchange(self, wire: bytes) -> HttpAnswer:
        reader, writer = await self._open()
        writer.write(wire)
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        fields = _fields(head)
        body = await _read_body(reader, fields)
        if fields.get(b"connection", b"").lower() == b"close":
            self.close()
        return HttpAnswer(status, body, fields.get(b"retry-after"))

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        # A server may close an idle connection; that is seen here, before a request is risked on it.
        if self._streams is not None and self._streams[0].at_eof():
            self.close()
        if self._streams is None:
            context = ssl.create_default_context() if self._address.secure else None
            self._streams = await asyncio.open_connection(
                self._address.host, self._address.port, ssl=context, limit=_BUFFER_BYTES
            )
        return self._streams


def _fields(head: bytes) -> dict[bytes, bytes]:
    lines = head[:-4].split(b"\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}


async def _read_body(reader: asyncio.StreamReader, fields: dict[bytes, bytes]) -> bytes:
    if fields.get(b"transfer-encoding", b"").lower() != b"chunked":
        return await reader.readexactly(int(fields.get(b"content-length", b"0")))
    parts = []
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        parts.append((await reader.readexactly(size + 2))[:-2])
    while await reader.readuntil(b"\r\n") != b"\r\n":  # trailer fields
        continue
    return b"".join(parts)
