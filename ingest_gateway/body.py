"""Reading a request's body: under a byte cap, under a deadline, decompressed in a stream under the same cap."""

import asyncio
import zlib
from typing import Final

from shared.answers import WHOLE_BODY, Message, Receive, Scope
from shared.problems import Problem
from shared.request_facts import declared_length

_GZIP_WINDOW: Final = 31  # zlib's wbits for a gzip header and trailer


async def read_body(encoding: bytes, scope: Scope, receive: Receive, max_bytes: int, timeout_seconds: float) -> bytes:
    """The body, at most ``max_bytes`` long after decompression. ``encoding`` is its Content-Encoding.

    Raises Problem: too-large, body-timeout, unsupported-media-type, bad-request (a broken gzip stream, a client gone).
    """
    if encoding not in (b"", b"identity", b"gzip"):
        raise Problem("unsupported-media-type", "Content-Encoding must be gzip or absent")
    if (declared_length(scope) or 0) > max_bytes:
        raise _too_large(max_bytes)
    whole: bytes | None = scope.get(WHOLE_BODY)
    if whole is not None and encoding != b"gzip":
        if len(whole) > max_bytes:
            raise _too_large(max_bytes)
        return whole
    try:
        async with asyncio.timeout(timeout_seconds):
            chunks = await _read_chunks(receive, max_bytes, gzip=encoding == b"gzip")
    except TimeoutError:
        detail = f"the body did not arrive within {timeout_seconds:g} s; nothing was accepted"
        raise Problem("body-timeout", detail, headers=[("Connection", "close")]) from None
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _read_chunks(receive: Receive, max_bytes: int, *, gzip: bool) -> list[bytes]:
    inflate = _Inflate() if gzip else None
    chunks: list[bytes] = []
    left = max_bytes
    while True:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem("bad-request", "the client went away before its body was complete")
        chunk: bytes = message.get("body", b"")
        if inflate is not None:
            chunk = inflate.add(chunk, left + 1)
        left -= len(chunk)
        if left < 0:
            raise _too_large(max_bytes)
        chunks.append(chunk)
        if not message.get("more_body", False):
            if inflate is not None:
                inflate.finish()
            return chunks


class _Inflate:
    """One gzip stream, never inflated further than asked."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP_WINDOW)

    def add(self, chunk: bytes, max_bytes: int) -> bytes:
        try:
            plain = self._stream.decompress(chunk, max_bytes)
        except zlib.error:
            raise Problem("bad-request", "the body is not a gzip stream, as its Content-Encoding says") from None
        if self._stream.unused_data:
            raise Problem("bad-request", "bytes follow the end of the gzip stream")
        return plain

    def finish(self) -> None:
        if not self._stream.eof:
            raise Problem("bad-request", "the gzip stream of the body ends too early")


def _too_large(max_bytes: int) -> Problem:
    # The connection stays and what still comes is dropped: were it closed, the client might fail to read this answer.
    detail = f"the body may have at most {max_bytes} bytes, decompressed; send fewer events at a time"
    return Problem("too-large", detail)
