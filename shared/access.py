"""Access to a service: an ASGI layer around its FastAPI application.

For every call but the public ones: check the key, apply its rate limit, run the application, and write the audit record
to Redis before the first byte of the answer leaves; when the record cannot be written the answer is 503 instead.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import redis.asyncio
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from shared.answers import (
    AsgiApp,
    Headers,
    Message,
    Receive,
    Scope,
    Send,
    limited,
    problem_headers,
    problem_messages,
    rate_limit_headers,
)
from shared.api_keys import ApiKey
from shared.api_keys import Scope as KeyScope
from shared.audit_record import encode_record, encode_record_head
from shared.key_ring import KeyRing, no_key
from shared.problems import FieldError, Problem
from shared.redis_functions import RedisFunction
from shared.redis_keys import ShardKeys
from shared.request_facts import RequestFacts, audit_shard, key_of_subprotocols, read_facts

log = structlog.get_logger()

MAX_BODY_BYTES: Final = 64 * 1024
"""What the body of a call through this layer may have; none of them needs more."""
_METHODS: Final = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


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
    limit_headers: Headers = field(default_factory=list)
    started: bool = False
    refused_audit: bool = False


class AccessLayer:
    """Wraps an application; lifespan passes through.

    Routes find the key as ``request.state.api_key`` (None when none was sent) and ask for a scope by ``require_scope``.
    """

    def __init__(self, app: AsgiApp, config: AccessConfig, key_ring: KeyRing, client: "redis.asyncio.Redis") -> None:
        self._app = app
        self._config = config
        self._key_ring = key_ring
        self._redis = client
        self._admit = RedisFunction("shared", "admit_request")
        self._record = RedisFunction("shared", "record_request")

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
            if call.facts.token is not None:
                call.api_key = await self._key_ring.authenticate(call.facts.token)
                scope["state"]["api_key"] = call.api_key
                await self._limit(call, call.api_key)
            bounded = _bounded(receive, self._config.body_timeout_seconds)
            await self._app(scope, bounded, lambda message: self._send(call, message))
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
        scope.setdefault("state", {}).update(facts=call.facts, api_key=None)
        try:
            call.api_key = await self._key_ring.authenticate(call.facts.token)
            scope["state"]["api_key"] = call.api_key
            await self._limit(call, call.api_key)
            await self._app(scope, receive, lambda message: self._send_handshake(call, message))
        except Problem as problem:
            if call.started:
                raise
            await self._refuse_handshake(call, problem)

    async def _send_handshake(self, call: _Call, message: Message) -> None:
        if not call.started and message["type"] == "websocket.close":
            raise Problem("not-found", "no such path takes WebSockets; /docs lists the calls")
        if not call.started and message["type"] == "websocket.accept":
            await self._write_record(call, 101, "")
            call.started = True
            request_id = (b"x-request-id", call.facts.request_id.encode())
            message["headers"] = [*message.get("headers", []), *call.limit_headers, request_id]
        await call.send(message)

    async def _refuse_handshake(self, call: _Call, problem: Problem) -> None:
        try:
            await self._write_record(call, problem.status, problem.type)
        except Problem as unavailable:
            problem = unavailable
        for message in problem_messages(problem, call.facts.request_id, call.limit_headers):
            await call.send({**message, "type": f"websocket.{message['type']}"})

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
            return
        if message["type"] == "http.response.start":
            try:
                await self._write_record(call, message["status"], call.scope["state"].get("problem", ""))
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
        try:
            await self._write_record(call, problem.status, problem.type)
        except Problem as unavailable:
            problem = unavailable
        call.started = True
        for message in problem_messages(problem, call.facts.request_id, call.limit_headers):
            await call.send(message)

    async def _write_record(self, call: _Call, status: int, error: str) -> None:
        api_key, facts = call.api_key, call.facts
        client_id = api_key.client_id if api_key else None
        head = encode_record_head(
            facts.at_us,
            self._config.service,
            self._config.instance,
            client_id,
            api_key.public_id if api_key else None,
            facts.method,
            getattr(call.scope.get("route"), "path_format", "unmatched"),
            facts.path,
            facts.query,
            facts.content_length or 0,
            facts.address,
            facts.user_agent,
            facts.request_id,
        )
        audit = ShardKeys(audit_shard(client_id, self._config.shards)).audit
        try:
            record = encode_record(head, status, error)
            await self._record.call_async(self._redis, [audit.stream, audit.totals], record)
        except RedisError as failure:
            raise Problem(
                "unavailable",
                "the audit record of this call cannot be written: Redis does not answer",
                retry_after=1,
            ) from failure


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


def install_problem_handlers(app: FastAPI, invalid: str = "invalid-query") -> None:
    """Make the application answer every error as a problem document; ``invalid`` is the type of a bad parameter."""

    async def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)  # noqa: S101  registered for this type only
        if request.scope["type"] == "websocket":
            raise error  # before the handshake's end the layer answers it
        request.scope["state"]["problem"] = error.type
        headers = {name.decode(): value.decode() for name, value in problem_headers(error)}
        return Response(error.body(request.state.facts.request_id), error.status, headers)

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        return await on_problem(request, _invalid(invalid, error))

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101
        allowed = _methods_of_path(request) if error.status_code == 405 else ""
        return await on_problem(request, _from_http(error, allowed))

    async def on_failure(request: Request, error: Exception) -> Response:
        request_id = request.state.facts.request_id
        log.error("request.failed", request_id=request_id, path=request.url.path, error=type(error).__name__)
        detail = f"an error of our own; it is logged under request id {request_id}"
        return await on_problem(request, Problem("internal-error", detail))

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_failure)


def _invalid(type_: str, error: RequestValidationError) -> Problem:
    errors = []
    for found in error.errors():
        if found["type"] == "json_invalid":
            return Problem("malformed-json", "the body is not valid JSON")
        # A name that is not a field's own is the caller's, and may be of any length and content.
        place = found["loc"][:-1] if found["type"] == "extra_forbidden" else found["loc"]
        errors.append(FieldError("".join(f"/{part}" for part in place), found["msg"].removeprefix("Value error, ")))
    return Problem(type_, f"{len(errors)} value(s) of the request are invalid", errors=errors)


def _methods_of_path(request: Request) -> str:
    """What Allow says: the methods of all routes of this path, where Starlette names those of the first alone."""
    scopes = ({**request.scope, "method": method} for method in _METHODS)
    served = (any(route.matches(scope)[0] is Match.FULL for route in request.app.routes) for scope in scopes)
    return ", ".join(method for method, is_served in zip(_METHODS, served, strict=True) if is_served)


def _from_http(error: HTTPException, allowed: str) -> Problem:
    types = {404: "not-found", 405: "method-not-allowed", 408: "body-timeout", 413: "too-large"}
    details = {
        404: "no such path; /docs lists the calls",
        405: "this path is not served with this method",
        408: "the body did not arrive in time; nothing was done",
        413: f"the body of this call may have at most {MAX_BODY_BYTES} bytes",
    }
    headers = [("Allow", allowed)] if allowed else list((error.headers or {}).items())
    detail = details.get(error.status_code, "the request is refused")
    return Problem(types.get(error.status_code, "bad-request"), detail, headers=headers)


def _bounded(receive: Receive, seconds: float) -> Receive:
    """``receive`` under a deadline and a cap for the body. FastAPI reads the body before it asks for the key.

    Raises HTTPException, the one kind of error that FastAPI's reading of bodies lets through.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    left, more = MAX_BODY_BYTES, True

    async def bounded() -> Message:
        nonlocal left, more
        if not more:
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, headers={"Connection": "close"}) from None
        left -= len(message.get("body", b""))
        more = message.get("more_body", False)
        if left < 0:
            raise HTTPException(413)
        return message

    return bounded


def _with_request_id(call: _Call) -> Send:
    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            request_id = (b"x-request-id", call.facts.request_id.encode())
            message["headers"] = [*message.get("headers", []), request_id]
        await call.send(message)

    return send
