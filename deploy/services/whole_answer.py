"""An answer of known length as one write: uvicorn makes two, and for a small answer that is a tenth of its cost."""

from typing import Any

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from shared.answers import Headers, Message


def answering_whole(cycle: RequestResponseCycle, app: ASGI3Application) -> ASGI3Application:
    """The application, with a ``send`` that keeps a head with a Content-Length back until its body comes.

    Whatever is not a head with a Content-Length and right after it the whole body goes uvicorn's own way.
    """

    async def answering(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, WholeAnswer(cycle).send)  # type: ignore[arg-type]  # uvicorn has a type a message

    return answering


class WholeAnswer:
    """One response: ``shared.answers.Answer``, on uvicorn's cycle."""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._head: Message | None = None
        self._length = 0

    def write(self, status: int, fields: bytes, body: bytes) -> None:
        """As ``Answer`` has it. The caller looks to it that the client takes what is written."""
        cycle = self._cycle
        if cycle.disconnected:
            return
        closes = b"" if cycle.keep_alive else b"connection: close\r\n"
        ours = _common_lines(cycle.default_headers)
        _complete(cycle, b"%b%b%b%b\r\n%b" % (STATUS_LINE[status], ours, fields, closes, body))

    async def send(self, message: Message) -> None:
        """As ASGI has it. A head that is kept back and gets no body was never sent: uvicorn then answers 500."""
        cycle, head = self._cycle, self._head
        if head is None:
            length = _content_length(message)
            if length is None or cycle.response_started:
                await cycle.send(message)  # type: ignore[arg-type]
            else:
                self._head, self._length = message, length
            return
        self._head = None
        body: bytes = message.get("body", b"")
        is_whole = message["type"] == "http.response.body" and not message.get("more_body", False)
        plainly = cycle.disconnected or cycle.flow.write_paused or cycle.scope["method"] == "HEAD"
        if is_whole and len(body) == self._length and not plainly and _write(cycle, head, body):
            return
        await cycle.send(head)  # type: ignore[arg-type]
        await cycle.send(message)  # type: ignore[arg-type]


class _CommonLines:
    """The fields that every answer has, as lines. uvicorn makes the list anew once a second, for it holds the date."""

    def __init__(self) -> None:
        self._headers: Headers | None = None
        self._lines = b""

    def __call__(self, headers: Headers) -> bytes:
        if headers is not self._headers:
            self._headers = headers
            self._lines = b"".join([b"%b: %b\r\n" % field for field in headers])
        return self._lines


_common_lines = _CommonLines()


def _content_length(message: Message) -> int | None:
    if message["type"] == "http.response.start":
        for name, value in message["headers"]:
            if name == b"content-length":
                return int(value)
    return None


def _write(cycle: RequestResponseCycle, head: Message, body: bytes) -> bool:
    """Write the answer; False, and nothing done, for a head that uvicorn must look at."""
    lines = [STATUS_LINE[head["status"]][:-2]]
    for name, value in (*cycle.default_headers, *head["headers"]):
        if name in {b"connection", b"transfer-encoding"}:
            return False
        lines.append(name + b": " + value)
    if not cycle.keep_alive:
        lines.append(b"connection: close")
    text = b"\r\n".join(lines)
    if text.count(b"\n") != len(lines) - 1 or text.count(b"\r") != len(lines) - 1:
        return False  # a line break inside of a field: uvicorn refuses it
    _complete(cycle, text + b"\r\n\r\n" + body)
    return True


def _complete(cycle: RequestResponseCycle, answer: bytes) -> None:
    """Write the answer and do what uvicorn does at a response's end."""
    cycle.response_started = True
    cycle.waiting_for_100_continue = False
    cycle.transport.write(answer)
    cycle.response_complete = True
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
