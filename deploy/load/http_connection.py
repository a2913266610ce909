"""A lean HTTP/1.1 client: one connection, one request at a time, answered in the step in which the answer's end comes.

A general client costs several times as much CPU a request, and would be what a run on few cores measures.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING

import httptools
import msgspec

if TYPE_CHECKING:
    from deploy.load.gateway_address import GatewayAddress


class ExchangeCutError(Exception):
    """The connection failed before the whole answer came: whether the request was served is unknown."""


class HttpAnswer(msgspec.Struct, frozen=True, gc=False):
    """Status, body, and the one header field a sender acts on."""

    status: int
    body: bytes
    retry_after: bytes | None


class HttpConnection:
    """Opened at the first request, kept alive, and opened again after a cut."""

    def __init__(self, address: GatewayAddress, timeout_seconds: float) -> None:
        self._address = address
        self._timeout_seconds = timeout_seconds
        self._wire: _Wire | None = None

    async def open(self) -> None:
        """Connect now, so that the first exchange need not. Whatever prevents it, the first exchange will tell."""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(self._timeout_seconds):
                await self._open()

    async def exchange(self, request: bytes) -> HttpAnswer:
        """Send one request and wait for its answer. Never sends twice. Raises ExchangeCutError."""
        try:
            wire = self._wire
            if wire is None or not wire.is_open:
                async with asyncio.timeout(self._timeout_seconds):
                    wire = await self._open()
            return await wire.exchange(request)
        except TimeoutError:
            self.close()
            raise ExchangeCutError(f"no answer within {self._timeout_seconds:g} s") from None
        except OSError as error:
            self.close()
            raise ExchangeCutError(str(error) or type(error).__name__) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Drop the connection; the next request opens another."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    async def _open(self) -> _Wire:
        # A server may close an idle connection; that is seen here, before a request is risked on it.
        self.close()
        address = self._address
        context = ssl.create_default_context() if address.secure else None
        _, self._wire = await asyncio.get_running_loop().create_connection(
            lambda: _Wire(self._timeout_seconds), address.host, address.port, ssl=context
        )
        return self._wire


class _Wire(asyncio.Protocol):
    """One TCP connection. Its time-out is one timer that looks again when it fires, not one a request."""

    def __init__(self, timeout_seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout_seconds = timeout_seconds
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[HttpAnswer] | None = None
        self._sent_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._body = b""
        self._retry_after: bytes | None = None
        self._ends = False

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def exchange(self, request: bytes) -> HttpAnswer:
        """Raises ExchangeCutError, and TimeoutError after which the connection is of no more use."""
        if self._transport is None:
            raise ExchangeCutError("the connection is not open")
        self._body, self._retry_after = b"", None
        waiter: asyncio.Future[HttpAnswer] = self._loop.create_future()
        self._waiter = waiter
        self._sent_at = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout_seconds, self._look_at_the_time)
        self._transport.write(request)
        return await waiter

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # of a stream connection

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(ExchangeCutError(str(exc) if exc else "the connection was closed before the answer was whole"))

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(ExchangeCutError(f"the answer is not HTTP: {error}"))
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"retry-after":
            self._retry_after = value

    def on_body(self, body: bytes) -> None:
        self._body = self._body + body if self._body else body

    def on_headers_complete(self) -> None:
        self._ends = not self._parser.should_keep_alive()

    def on_message_complete(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(HttpAnswer(self._parser.get_status_code(), self._body, self._retry_after))
        if self._ends:
            self.close()

    def _look_at_the_time(self) -> None:
        self._timer = None
        if self._waiter is None:
            return  # the next request sets it again
        due = self._sent_at + self._timeout_seconds
        if self._loop.time() < due:
            self._timer = self._loop.call_at(due, self._look_at_the_time)
        else:
            self._fail(TimeoutError())

    def _fail(self, error: Exception) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
