"""A WebSocket on its way through the access layer: its key, and the record of its handshake."""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from shared.answers import AsgiApp, Message, Receive, Scope, Send, problem_messages
from shared.problems import Problem
from shared.request_facts import RequestFacts

log = structlog.get_logger()

KEY_SUBPROTOCOL: Final = "weir.key."
"""Browsers cannot set headers on a WebSocket: they offer the key as a subprotocol, ``weir.key.<KEY>``."""
SWITCHING_PROTOCOLS: Final = 101
_TRY_AGAIN_LATER: Final = 1013
_POLICY: Final = 1008

Record = Callable[[int, str], Awaitable[None]]
"""Writes the audit record of the handshake: status, error. Raises Problem when it cannot."""


class WebSocketCall:
    """One handshake, and what follows when it is accepted."""

    def __init__(self, facts: RequestFacts, scope: Scope, receive: Receive, send: Send) -> None:
        self._facts = facts
        self._scope = scope
        self._receive = receive
        self._send = send
        self._answered = False

    @property
    def token(self) -> str | None:
        """The key that was offered as a subprotocol."""
        for offered in self._scope.get("subprotocols", ()):
            if offered.startswith(KEY_SUBPROTOCOL):
                return str(offered).removeprefix(KEY_SUBPROTOCOL)
        return None

    async def serve(self, app: AsgiApp, record: Record) -> None:
        """Run the application; the handshake's record is written before its answer leaves, or the answer is 503.

        Raises Problem: the record cannot be written, or the application's own before it answered.
        """

        async def send(message: Message) -> None:
            if not self._answered:
                await record(_status(message), "" if message["type"] == "websocket.accept" else "forbidden")
                self._answered = True
            await self._send(message)

        await app(self._scope, self._receive, send)

    async def refuse(self, problem: Problem, record: Record | None) -> None:
        """Refuse the handshake, with its record (None: it is written already); no problem document without one."""
        if self._answered:
            await self._send({"type": "websocket.close", "code": _TRY_AGAIN_LATER})
            return
        if record is not None:
            try:
                await record(problem.status, problem.type)
            except Problem as unavailable:
                log.warning("websocket.not_recorded", path=self._facts.path)
                problem = unavailable
        if "websocket.http.response" not in self._scope.get("extensions", {}):
            await self._send({"type": "websocket.close", "code": _POLICY})
            return
        for message in problem_messages(problem, self._facts.request_id, []):
            await self._send({**message, "type": f"websocket.{message['type']}"})


def _status(message: Message) -> int:
    if message["type"] == "websocket.accept":
        return SWITCHING_PROTOCOLS
    return int(message.get("status", 403))
