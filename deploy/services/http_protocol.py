"""uvicorn's HTTP protocol with the deadlines and the cap it lacks: nobody holds a connection open for nothing.

A request's headers must be there within ``request_seconds`` of its first byte (or of the connection), and be at most
MAX_HEAD_BYTES; its body within as much again, for which the application answers 408 itself, with an audit record. What
is refused here never became a request, so nothing is audited. Costs one timer a connection, none a request.

Small requests are the dear ones, so what uvicorn does in steps is done in one. An application starts when all that came
with a packet is parsed; has the whole body come, it is in ``scope[WHOLE_BODY]`` and not waited for, and an application
that can may ``begin`` to serve it at once, without a task. An answer of known length is one write (``whole_answer``).
"""

import asyncio
import secrets
from typing import ClassVar, Final

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from deploy.services.head_checks import handshake_fault, head_fault
from deploy.services.whole_answer import WholeAnswer, answering_whole
from shared.answers import WHOLE_BODY, Answer, Begin, Scope, problem_messages
from shared.problems import Problem

MAX_HEAD_BYTES: Final = 64 * 1024
MOST_WRAPPING: Final = 16
"""Bytes on the wire for a byte of body, beyond MAX_HEAD_BYTES: chunk extensions and trailers, which nobody reads."""
_SPARE_SECONDS: Final = 1.0
"""Beyond both deadlines, so that the application's own 408 comes first."""


class TimelyProtocol(HttpToolsProtocol):
    """One connection. A request that is late or too large gets a problem document, a silent connection nothing."""

    request_seconds: ClassVar[float] = 10.0
    max_connections: ClassVar[int] = 10_000

    @staticmethod
    def begin(scope: Scope, body: bytes, answer: Answer) -> bool:
        """As ``shared.answers.Begin`` has it; an application that cannot begin anything leaves it at this."""
        return False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._awaited_since: float | None = self.loop.time()  # None: no request is on its way in
        self._head_bytes = 0  # with what follows it in its last packet; 0 once the request is whole
        self._head_complete = False
        self._refused_head: Problem | None = None
        self._body_bytes = self._wire_bytes = 0  # of the request that is on its way in
        self._is_deaf = False  # what still comes on this connection is not heard
        self._parses = False
        self._was_closing = False
        self._begun: tuple[RequestResponseCycle, ASGI3Application] | None = None  # to start when all is parsed
        self._check = self.loop.call_later(self.request_seconds, self._check_deadline)
        if len(self.connections) > self.max_connections:
            self._refuse(Problem("unavailable", f"{self.max_connections} connections are open here", retry_after=1))

    def connection_lost(self, exc: Exception | None) -> None:
        self._check.cancel()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        fault = handshake_fault(self.scope["method"], self.url, self.headers)
        if fault is not None:
            self._refuse(Problem("bad-request", fault))
            return
        self._check.cancel()
        super().handle_websocket_upgrade()

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        if self._head_complete:
            self._wire_bytes += len(data)
        else:
            self._head_bytes += len(data)
        self._parses = True
        super().data_received(data)
        self._parses = False
        if self._begun is not None:
            self._start(*self._begun)
        if self._head_bytes:
            self._await_the_rest()

    def on_headers_complete(self) -> None:
        self._head_complete = True
        if self._head_bytes > MAX_HEAD_BYTES and self._exact_head_bytes() > MAX_HEAD_BYTES:
            self._refused_head = _head_too_large()
        elif (fault := head_fault(self.parser.get_http_version(), self.headers)) is not None:
            self._refused_head = Problem("bad-request", fault)
        if self._refused_head is not None:
            raise ValueError("the head is refused")  # the parser stops and asks for send_400_response
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head_complete:
            return  # it is a trailer: nobody reads it, and there may be no end of them
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))  # all that uvicorn does, without a call for each field

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._awaited_since = None
        self._head_bytes = self._body_bytes = self._wire_bytes = 0
        self._head_complete = False
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if self._parses:  # of several requests in one packet, uvicorn starts the first and queues the others
            self._begun = cycle, app
        else:
            super()._start_asgi_task(cycle, answering_whole(cycle, app))

    def _start(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._begun = None
        if not cycle.more_body:
            scope: Scope = cycle.scope  # type: ignore[assignment]  # wider: WHOLE_BODY is an extension of ours
            body = scope[WHOLE_BODY] = bytes(cycle.body)
            # who does not take his answers waits for a task that waits for him
            if not self.flow.write_paused and self.begin(scope, body, WholeAnswer(cycle)):
                return
        self._start_asgi_task(cycle, app)

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._refused_head or Problem("bad-request", "this is not valid HTTP/1.1"))

    def _await_the_rest(self) -> None:
        if self._awaited_since is None:
            self._awaited_since = self.loop.time()
        if self.transport.is_closing():
            return
        if self._head_complete:
            if self._wire_bytes > MOST_WRAPPING * self._body_bytes + MAX_HEAD_BYTES:
                self._refuse(Problem("bad-request", "far more bytes came than there is of a body"))
        elif self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(_head_too_large())

    def _exact_head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _check_deadline(self) -> None:
        if self.transport.is_closing():
            self._end_closing()
            return
        now = self.loop.time()
        since = now if self._awaited_since is None else self._awaited_since
        allowed = 2 * self.request_seconds + _SPARE_SECONDS if self._head_complete else self.request_seconds
        answering = self.cycle is not None and not self.cycle.response_complete
        if now - since < allowed:
            self._check = self.loop.call_at(since + allowed, self._check_deadline)
        elif self._head_complete or not self._head_bytes:
            self.transport.close()
        elif answering:  # an earlier request of the same connection comes first
            self._check = self.loop.call_later(self.request_seconds, self._check_deadline)
        else:
            detail = f"the headers did not arrive within {self.request_seconds:g} s"
            self._refuse(Problem("request-timeout", detail))

    def _end_closing(self) -> None:
        """A closed connection whose other side takes nothing stays open for ever: the second look ends it."""
        if self._was_closing:
            self.transport.abort()
            return
        self._was_closing = True
        self._check = self.loop.call_later(self.request_seconds, self._check_deadline)

    def _refuse(self, problem: Problem) -> None:
        """Answer with the problem and close. A whole request before this one is answered instead: its answer is due."""
        self._is_deaf = True
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and not cycle.more_body:
            cycle.keep_alive = False
            return
        if cycle is not None and cycle.more_body and cycle.response_started:
            self.transport.close()  # it has its answer already
            return
        start, body = problem_messages(problem, secrets.token_hex(12), [(b"connection", b"close")])
        fields = [b"%s: %s\r\n" % field for field in start["headers"]]
        self.transport.write(b"".join([STATUS_LINE[problem.status], *fields, b"\r\n", body["body"]]))
        self.transport.close()


def timely_protocol(
    seconds: float, connections: int = TimelyProtocol.max_connections, begin: Begin | None = None
) -> type[TimelyProtocol]:
    """The protocol with bounds of its own, as uvicorn takes it: a class."""
    own: dict[str, object] = {"request_seconds": seconds, "max_connections": connections}
    if begin is not None:
        own["begin"] = staticmethod(begin)
    return type("TimelyProtocol", (TimelyProtocol,), own)


def _head_too_large() -> Problem:
    return Problem("headers-too-large", f"the request line and headers may have at most {MAX_HEAD_BYTES} bytes")
