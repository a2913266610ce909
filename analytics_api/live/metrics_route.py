"""``WS /api/v1/ws/metrics``."""

import asyncio
import contextlib
from typing import Final

import structlog
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from analytics_api.live.collector import Collector
from analytics_api.live.conversation import (
    CloseCode,
    ClosedError,
    DisconnectedError,
    Ping,
    Subscribe,
    chosen_subprotocol,
    understand,
)
from analytics_api.live.watchers import CrowdedError, Watcher, Watchers
from analytics_api.tenancy import visible_client
from shared.api_keys import ApiKey, Scope
from shared.key_ring import KeyRing
from shared.problems import Problem

log = structlog.get_logger()

SUBSCRIBE_SECONDS: Final = 5.0
_MOST_REASON: Final = 120
"""A close frame holds 123 bytes of reason."""
_PONG: Final = '{"type":"pong"}'


def metrics_route(collector: Collector, watchers: Watchers, key_ring: KeyRing) -> APIRouter:
    """The WebSocket of the live metrics."""
    router = APIRouter()

    @router.websocket("/api/v1/ws/metrics")
    async def metrics(websocket: WebSocket) -> None:
        api_key: ApiKey = websocket.state.api_key
        if not api_key.may(Scope.READ):
            raise Problem("forbidden", f"this call needs a key of scope 'read'; {api_key.public_id} has it not")
        await websocket.accept(chosen_subprotocol(websocket.scope["subprotocols"]))
        watcher = Watcher(api_key.public_id, api_key.is_admin)
        try:
            watchers.add(watcher)
            await _Connection(websocket, watcher, collector, key_ring).serve()
        except CrowdedError as error:
            await _close(websocket, CloseCode.TOO_MANY_VIEWERS, str(error))
        except ClosedError as closed:
            await _close(websocket, closed.code, closed.reason)
        except (DisconnectedError, WebSocketDisconnect):
            log.debug("live.viewer_left", key_id=api_key.public_id)
        finally:
            collector.leave(watcher)

    return router


async def _close(websocket: WebSocket, code: CloseCode, reason: str) -> None:
    log.info("live.viewer_closed", key_id=websocket.state.api_key.public_id, code=int(code), reason=reason)
    with contextlib.suppress(WebSocketDisconnect):  # gone already
        await websocket.close(code, reason[:_MOST_REASON])


class _Connection:
    """One open connection: what is said, what is told, and whether the key still may."""

    def __init__(self, websocket: WebSocket, watcher: Watcher, collector: Collector, key_ring: KeyRing) -> None:
        self._websocket = websocket
        self._watcher = watcher
        self._collector = collector
        self._key_ring = key_ring

    async def serve(self) -> None:
        """Until one of both ends it. Raises ClosedError or DisconnectedError."""
        try:
            async with asyncio.timeout(SUBSCRIBE_SECONDS):
                await self._heed()
        except TimeoutError:
            reason = f'no {{"type": "subscribe"}} came within {SUBSCRIBE_SECONDS:g} s'
            raise ClosedError(CloseCode.NOT_SUBSCRIBED, reason) from None
        parts = [asyncio.create_task(part()) for part in (self._heed_all, self._tell_all, self._end_if_slow)]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
        for part in done:
            part.result()

    async def _heed_all(self) -> None:
        while True:
            await self._heed()

    async def _heed(self) -> None:
        """Take one message of the viewer, and do what it asks for."""
        event = await self._websocket.receive()
        if event["type"] == "websocket.disconnect":
            raise DisconnectedError
        said = understand(event.get("text"))
        if isinstance(said, Ping):
            self._watcher.tell(_PONG)
        else:
            await self._subscribe(said)

    async def _subscribe(self, said: Subscribe) -> None:
        api_key = await self._current_key()
        try:
            self._watcher.view = visible_client(api_key, said.client_id)
        except Problem as problem:
            raise ClosedError(CloseCode.FORBIDDEN, problem.detail) from problem
        self._collector.join(self._watcher)

    async def _tell_all(self) -> None:
        while True:
            message = await self._watcher.messages.get()
            await self._current_key()
            await self._websocket.send_text(message)

    async def _current_key(self) -> ApiKey:
        """The key as it is now: a change takes effect on open connections as it does on calls."""
        try:
            return await self._key_ring.authenticate(self._websocket.state.facts.token)
        except Problem as problem:
            raise ClosedError(CloseCode.KEY_REFUSED, problem.detail) from problem

    async def _end_if_slow(self) -> None:
        await self._watcher.too_slow.wait()
        raise ClosedError(CloseCode.TOO_SLOW, "this viewer does not take the messages; connect again")
