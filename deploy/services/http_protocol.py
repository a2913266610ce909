"""uvicorn's HTTP protocol with the deadlines and the cap it lacks: nobody holds a connection open for nothing.

A request's headers must be there within ``request_seconds`` of its first byte (or of the connection), and be at most
MAX_HEAD_BYTES; its body within as much again, for which the application answers 408 itself, with an audit record. What
is refused here never became a request, so nothing is audited. Costs one timer a connection, none a request.

Small requests are the dear ones, so what uvicorn does in steps is done in one. An application starts when all that came
with a packet is parsed; has the whole body come, it is in ``scope[WHOLE_BODY]`` and not waited for, and an application
that can may ``begin`` to serve it at once, without a task. A head like the connection's last is not parsed again
(``repeated_head``). An answer of known length is one write (``whole_answer``). The time to keep an idle connection is
one timer that looks again when it fires, not one an answer.
"""

import asyncio
import secrets
from dataclasses import dataclass
from typing import ClassVar, Final

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from deploy.services.head_checks import handshake_fault, head_fault
from deploy.services.repeated_head import RepeatedHead, repeated_head
from deploy.services.whole_answer import WholeAnswer, answering_whole
from shared.answers import WHOLE_BODY, Answer, Begin, Scope, problem_messages
from shared.problems import Problem

MAX_HEAD_BYTES: Final = 64 * 1024
MOST_WRAPPING: Final = 16
"""Bytes on the wire for a byte of body, beyond MAX_HEAD_BYTES: chunk extensions and trailers, which nobody reads."""
_HEADS_IN_VAIN: Final = 8
"""So many heads of a connection are kept without one that comes again, and then no more."""
_SPARE_SECONDS: Final = 1.0
"""Beyond both deadlines, so that the application's own 408 comes first."""


@dataclass(frozen=True, slots=True)
class _Again:
    """What serves a request whose head is that of an earlier one: the earlier one's scope, cycle and answer."""

    head: RepeatedHead
    scope: Scope
    cycle: RequestResponseCycle
    answer: WholeAnswer


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
        self._head_bytes = 0  # with what follows it in its last packet; 0 between requests, and there alone
        self._head_complete = False
        self._refused_head: Problem | None = None
        self._body_bytes = self._wire_bytes = 0  # of the request that is on its way in
        self._is_deaf = False  # what still comes on this connection is not heard
        self._parses = False
        self._was_closing = False
        self._begun: tuple[RequestResponseCycle, ASGI3Application] | None = None  # to start when all is parsed
        self._again: _Again | None = None
        self._heads_left = _HEADS_IN_VAIN
        self._idle_since: float | None = None  # None: not idle
        self._packet = b""
        self._check = self.loop.call_later(self.request_seconds, self._check_deadline)
        if len(self.connections) > self.max_connections:
            self._refuse(Problem("unavailable", f"{self.max_connections} connections are open here", retry_after=1))

    def connection_lost(self, exc: Exception | None) -> None:
        self._check.cancel()
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        fault = handshake_fault(self.scope["method"], self.url, self.headers)
        if fault is not None:
            self._refuse(Problem("bad-request", fault))
            return
        self._check.cancel()
        super().handle_websocket_upgrade()

    def data_received(self, data: bytes) -> None:
        if self._is_deaf or (self._again is not None and self._begin_again(self._again, data)):
            return
        if not self._head_bytes:
            self._packet = data  # it begins where a request does
        if self._head_complete:
            self._wire_bytes += len(data)
        else:
            self._head_bytes += len(data)
        self._parses = True
        super().data_received(data)
        self._parses = False
        if self._begun is not None:
            self._start(*self._begun)
        self._packet = b""
        if self._head_bytes:
            self._await_the_rest()

    def on_message_begin(self) -> None:
        self._head_bytes = self._head_bytes or 1  # it begins in the packet that another one ended in
        super().on_message_begin()

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
            body = bytes(cycle.body)
            answer = WholeAnswer(cycle)
            # who does not take his answers waits for a task that waits for him
            if not self.flow.write_paused and self.begin(scope, body, answer):
                cycle.body = bytearray()
                self._remember(scope, body, cycle, answer)
                return
            scope[WHOLE_BODY] = body
        self._start_asgi_task(cycle, app)

    def _remember(self, scope: Scope, body: bytes, cycle: RequestResponseCycle, answer: WholeAnswer) -> None:
        """Keep the head of what was begun, unless the last ones were kept in vain."""
        if self._heads_left == 0 or not cycle.keep_alive or not self._packet:
            return
        self._heads_left -= 1
        head = repeated_head(self._packet, scope, body)
        if head is not None:
            self._again = _Again(head, scope, cycle, answer)

    def _begin_again(self, again: _Again, packet: bytes) -> bool:
        """Begin to serve a packet that is one request with the head of an earlier one; False if it is not begun."""
        if self._head_bytes or not self.cycle.response_complete or self.pipeline:
            return False
        body = again.head.body_of(packet)
        if body is None or self.flow.write_paused or self.transport.is_closing():
            return False
        cycle = again.cycle
        before, self.cycle = self.cycle, cycle
        cycle.response_started = cycle.response_complete = False
        cycle.default_headers = self.server_state.default_headers  # it has the date
        self._idle_since = None
        if self.begin(again.scope, body, again.answer):
            self._heads_left = _HEADS_IN_VAIN
            return True
        cycle.response_started = cycle.response_complete = True
        self.cycle = before
        return False

    def on_response_complete(self) -> None:
        """uvicorn's, but for the timer of an idle connection, which is set once and looks again."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if it was idle for so long; else look again when it may have been, or once it is."""
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return
        due = self._idle_since + self.timeout_keep_alive
        if self.loop.time() < due:
            self.timeout_keep_alive_task = self.loop.call_at(due, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

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
