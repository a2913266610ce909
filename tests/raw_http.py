"""HTTP/1.1 by hand: bytes as they are, for requests that no HTTP library would send."""

import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from types import TracebackType
from typing import Any

import orjson

WAIT_SECONDS = 30.0
MAX_BODY_BYTES = 4 * 1024 * 1024
ENDLESS = "text/event-stream"
"""Of answers of this kind only the head is read."""


@dataclass(frozen=True)
class RawAnswer:
    """One answer: its body is b"" where it may have none, or where it has no end."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0]

    def json(self) -> Any:
        return orjson.loads(self.body)


class RawConnection:
    """A connection that is kept, and opened again when the other side has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def __enter__(self) -> "RawConnection":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def call(
        self, method: str, target: bytes | str, headers: Iterable[tuple[str, bytes | str]] = (), body: bytes = b""
    ) -> RawAnswer:
        """Send a request with these very bytes; a kept connection that turns out to be closed is opened once more."""
        request = request_bytes(method, target, headers, body)
        is_kept = self._socket is not None
        try:
            return self._exchange(request, method)
        except (ConnectionError, HTTPException):
            self.close()
            if not is_kept:
                raise
            return self._exchange(request, method)

    def _exchange(self, request: bytes, method: str) -> RawAnswer:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=WAIT_SECONDS)
        self._socket.sendall(request)
        answer, is_last = read_answer(self._socket, method)
        if is_last:
            self.close()
        return answer


def request_bytes(
    method: str, target: bytes | str, headers: Iterable[tuple[str, bytes | str]] = (), body: bytes = b""
) -> bytes:
    """A request with Host, and with Content-Length if it has a body."""
    lines = [b" ".join((method.encode(), _latin_1(target), b"HTTP/1.1")), b"Host: t"]
    lines += [name.encode() + b": " + _latin_1(value) for name, value in headers]
    if body:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join((*lines, b"", body))


def read_answer(source: socket.socket, method: str = "GET") -> tuple[RawAnswer, bool]:
    """The next answer, and whether the connection is of no use after it. Raises OSError, http.client.HTTPException."""
    response = HTTPResponse(source, method=method)
    try:
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        is_endless = headers.get("content-type", "").startswith(ENDLESS)
        body = b"" if is_endless else response.read(MAX_BODY_BYTES + 1)
        assert len(body) <= MAX_BODY_BYTES, "the answer has no end"
        return RawAnswer(response.status, headers, body), is_endless or response.will_close
    finally:
        response.close()


def exchange(port: int, sent: bytes, *, half_close: bool = False) -> list[RawAnswer]:
    """Send bytes on a connection of their own; all answers until the other side closes it."""
    answers = []
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS) as source:
        with suppress(ConnectionError):  # the other side need not read all of it
            source.sendall(sent)
            if half_close:
                source.shutdown(socket.SHUT_WR)
        stream = source.makefile("rb")
        with suppress(ConnectionError, HTTPException):
            while True:
                answer, _ = read_answer(_Shared(stream))  # type: ignore[arg-type]
                answers.append(answer)
    return answers


class _Shared:
    """A stream as HTTPResponse asks for one of a socket: the same buffer for one answer after another."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def makefile(self, _mode: str) -> "_Shared":
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


def _latin_1(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")
