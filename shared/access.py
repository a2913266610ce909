"""Access to a service: an ASGI layer around its FastAPI application.

For every call but the public ones: check the key, apply its rate limit, run the application, and write the audit record
to Redis before the first byte of the answer leaves; when the record cannot be written the answer is 503 instead.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import redis.asyncio
from fastapi import Request
from redis.exceptions import RedisError

from shared.answers import (
    AsgiApp,
    Headers,
    Message,
    Receive,
    Scope,
    Send,
    limited,
    problem_messages,
    rate_limit_headers,
)
from shared.api_keys import ApiKey
from shared.api_keys import Scope as KeyScope
from shared.audit_trail import AuditTrail
from shared.bounded_body import BoundedBody
from shared.head_requests import head_as_get
from shared.key_ring import KeyRing, no_key
from shared.problems import Problem
from shared.redis_functions import RedisFunction
from shared.redis_keys import ShardKeys
from shared.request_facts import RequestFacts, audit_shard, key_of_subprotocols, read_facts
from shared.stranger_limit import StrangerPolicy
from shared.strangers import Strangers

DEFAULT_STRANGERS: Final = StrangerPolicy()


@dataclass(frozen=True)
class AccessConfig:
    """What the layer needs to know; times in seconds."""

    service: str
    instance: str
    shards: int
    rate_limit: int
    window_seconds: int
    public_paths: frozenset[str] = field(default=frozenset())
    public_prefixes: tuple[str, ...] = ("/docs", "/redoc", "/openapi.json")
    body_timeout_seconds: float = 10.0
    audit_backlog_limit: int = 2_000_000
    """Audit records that may wait in a stream."""
    strangers: StrangerPolicy = DEFAULT_STRANGERS
    """What calls without a valid key are limited to."""

    def is_public(self, path: str) -> bool:
        """Whether a path is served without a key, a limit or an audit record."""
        return (
            path in self.public_paths
            or path in self.public_prefixes
            or path.startswith(tuple(f"{prefix}/" for prefix in self.public_prefixes))
        )


@dataclass(slots=True)
class _Call:
    """One call on its way through the layer."""

    facts: RequestFacts
    scope: Scope
    send: Send
    api_key: ApiKey | None = None
    body: BoundedBody | None = None
    limit_headers: Headers = field(default_factory=list)
    started: bool = False
    refused_audit: bool = False


class RecordedProblem(Problem):
    """A refusal whose audit record is written already."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.type, problem.detail, retry_after=problem.retry_after, headers=problem.headers)


class _RefusedError(Exception):
    """The answer was replaced, for its audit record could not be written."""


class AccessLayer:
    """Wraps an application; lifespan passes through.

    Routes find the key as ``request.state.api_key`` (None when none was sent) and ask for a scope by ``require_scope``.
    ``strangers`` is shared by all that serves calls without a key in this process.
    """

    def __init__(self, app: AsgiApp, config: AccessConfig, key_ring: KeyRing, client: "redis.asyncio.Redis") -> None:
        self._app = head_as_get(app)
        self._config = config
        self._key_ring = key_ring
        self._redis = client
        self._admit = RedisFunction("shared", "admit_request")
        self._trail = AuditTrail(client, config.service, config.instance, config.shards, config.audit_backlog_limit)
        self.strangers = Strangers(config.strangers, self._trail.record_refused)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self._open_websocket(scope, receive, send)
            return
        call = _Call(read_facts(scope), scope, send)
        scope.setdefault("state", {}).update(facts=call.facts, api_key=None)
        if self._config.is_public(scope["path"]):
            await self._app(scope, receive, _with_request_id(call))
            return
        try:
            await self._identify(call, call.facts.token)
            call.body = BoundedBody(receive, self._config.body_timeout_seconds)
            await self._app(scope, call.body.receive, lambda message: self._send(call, message))
        except _RefusedError:
            return
        except Problem as problem:
            if call.started:
                raise
            await self._send_problem(call, problem)

    async def _open_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A handshake is a request like any other: key, limit, and its record before the 101 or the refusal leaves.

        The key may also come as the subprotocol ``weir.key.<KEY>``, for browsers set no headers. It is never ambient,
        as a cookie is: a page of another origin that has no key gets nothing, so Origin is not looked at.
        """
        call = _Call(read_facts({**scope, "method": "GET"}), scope, send)
        call.facts.token = call.facts.token or key_of_subprotocols(scope.get("subprotocols", []))
        try:
            await self._identify(call, call.facts.token)
            if call.api_key is None:
                raise no_key()
            await self._app(scope, receive, lambda message: self._send_handshake(call, message))
        except Problem as problem:
            if call.started:
                raise
            await self._refuse_handshake(call, problem)

    async def _send_handshake(self, call: _Call, message: Message) -> None:
        if not call.started and message["type"] == "websocket.close":
            raise Problem("not-found", "no such path takes WebSockets; /docs lists the calls")
        if not call.started and message["type"] == "websocket.accept":
            await self._write_record(call, 101, "", None)
            call.started = True
            request_id = (b"x-request-id", call.facts.request_id.encode())
            message["headers"] = [*message.get("headers", []), *call.limit_headers, request_id]
        await call.send(message)

    async def _refuse_handshake(self, call: _Call, problem: Problem) -> None:
        for message in await self._recorded_refusal(call, problem):
            await call.send({**message, "type": f"websocket.{message['type']}"})

    async def _identify(self, call: _Call, token: str | None) -> None:
        """Find the caller's key and apply its limit, or that of callers without one. Raises Problem."""
        try:
            if token is not None:
                call.api_key = await self._key_ring.authenticate(token)
        except Problem as problem:
            await self._limit_stranger(call, problem)
            raise
        call.scope.setdefault("state", {}).update(facts=call.facts, api_key=call.api_key)
        if call.api_key is None:
            await self._limit_stranger(call, None)
        else:
            await self._limit(call, call.api_key)

    async def _limit_stranger(self, call: _Call, problem: Problem | None) -> None:
        refusal = await self.strangers.beyond_limit(call.facts.address, problem)
        if refusal is not None:
            raise RecordedProblem(refusal)

    async def _limit(self, call: _Call, api_key: ApiKey) -> None:
        limit = self._config.rate_limit if api_key.rate_limit is None else api_key.rate_limit
        seconds = self._config.window_seconds
        if limit == 0:
            call.limit_headers = rate_limit_headers(0, seconds, 0, 0)
            return
        shard = ShardKeys(audit_shard(api_key.client_id, self._config.shards))
        try:
            admitted, remaining, reset_us = await self._admit.call_async(
                self._redis, [shard.limit(api_key.public_id)], limit, seconds * 1_000_000
            )
        except RedisError as error:
            raise Problem(
                "unavailable",
                "Redis does not answer; nothing of this request was done; send it again",
                retry_after=1,
            ) from error
        call.limit_headers = rate_limit_headers(limit, seconds, remaining, reset_us)
        if not admitted:
            raise limited(limit, seconds, reset_us)

    async def _send(self, call: _Call, message: Message) -> None:
        if call.refused_audit:
            if message.get("more_body"):
                raise _RefusedError  # ends what makes the rest of a long answer that nobody gets
            return
        if message["type"] == "http.response.start":
            error = call.scope["state"].get("problem", "")
            try:
                await self._write_record(call, message["status"], error, _content_length(message))
            except Problem as problem:
                call.refused_audit = call.started = True
                for part in problem_messages(problem, call.facts.request_id, call.limit_headers):
                    await call.send(part)
                return
            call.started = True
            request_id = (b"x-request-id", call.facts.request_id.encode())
            message["headers"] = [*message.get("headers", []), *call.limit_headers, request_id]
        await call.send(message)

    async def _send_problem(self, call: _Call, problem: Problem) -> None:
        for message in await self._recorded_refusal(call, problem):
            await call.send(message)

    async def _recorded_refusal(self, call: _Call, problem: Problem) -> tuple[Message, Message]:
        """The messages of a refusal whose record is written; of a 503 if it cannot be."""
        if not isinstance(problem, RecordedProblem):
            try:
                body_bytes = len(problem.body(call.facts.request_id))
                await self._write_record(call, problem.status, problem.type, body_bytes)
            except Problem as unavailable:
                problem = unavailable
        call.started = True
        return problem_messages(problem, call.facts.request_id, call.limit_headers)

    async def _write_record(self, call: _Call, status: int, error: str, bytes_out: int | None) -> None:
        route = getattr(call.scope.get("route"), "path_format", "unmatched")
        bytes_in = call.body.bytes_read if call.body else 0
        bytes_out = 0 if call.facts.method == "HEAD" else bytes_out
        await self._trail.record(call.facts, call.api_key, route, status, error, bytes_in=bytes_in, bytes_out=bytes_out)


def require_scope(scope: KeyScope) -> Callable[[Request], Awaitable[ApiKey]]:
    """A FastAPI dependency: the request's key, if it carries the scope. Raises Problem unauthenticated, forbidden."""

    async def dependency(request: Request) -> ApiKey:
        api_key: ApiKey | None = request.state.api_key
        if api_key is None:
            raise no_key()
        if not api_key.may(scope):
            raise Problem(
                "forbidden",
                f"this call needs a key of scope '{scope}'; {api_key.public_id} has {sorted(api_key.scopes)}",
            )
        return api_key

    return dependency


def _content_length(start: Message) -> int | None:
    for name, value in start.get("headers", ()):
        if name == b"content-length":
            return int(value)
    return None


def _with_request_id(call: _Call) -> Send:
    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            request_id = (b"x-request-id", call.facts.request_id.encode())
            message["headers"] = [*message.get("headers", []), request_id]
        await call.send(message)

    return send
