"""Answers that every part of a service gives alike: problem documents and RateLimit fields, as ASGI messages."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, Protocol

from shared.problems import MEDIA_TYPE, Problem

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

WHOLE_BODY: Final = "weir.body"
"""Where a scope has the whole body, if it came with the head: an extension of our server, beside ``receive``."""


class Answer(Protocol):
    """Where the answer of one request goes that was begun without a task."""

    def write(self, status: int, fields: bytes, body: bytes) -> None:
        """The whole answer at once; ``fields`` are lines, each with its CRLF. Nothing for a client that is gone."""

    async def send(self, message: Message) -> None:
        """As ASGI's."""


Begin = Callable[[Scope, bytes, Answer], bool]
"""Begins to serve a request whose whole body has come, without a task; False, with nothing done, if that cannot be."""


def rate_limit_headers(limit: int, window_seconds: int, remaining: int, reset_us: int) -> Headers:
    """The RateLimit fields (draft-ietf-httpapi-ratelimit-headers): quota and window, what is left and for how long.

    A limit of 0 is none: the policy then names a quota that cannot be reached.
    """
    policy, state = _rate_limit(limit, window_seconds, remaining, reset_us)
    return [(b"ratelimit-policy", policy), (b"ratelimit", state)]


def rate_limit_lines(limit: int, window_seconds: int, remaining: int, reset_us: int) -> bytes:
    """The same fields as lines."""
    policy, state = _rate_limit(limit, window_seconds, remaining, reset_us)
    return b"ratelimit-policy: %b\r\nratelimit: %b\r\n" % (policy, state)


def _rate_limit(limit: int, window_seconds: int, remaining: int, reset_us: int) -> tuple[bytes, bytes]:
    if limit == 0:
        return b'"none";q=999999999', b'"none";r=999999999'
    return b'"key";q=%d;w=%d' % (limit, window_seconds), b'"key";r=%d;t=%d' % (remaining, whole_seconds(reset_us))


def limited(limit: int, window_seconds: int, reset_us: int) -> Problem:
    """The 429 of a key that used up its window."""
    seconds = max(1, whole_seconds(reset_us))
    detail = f"this key may make {limit} requests in {window_seconds} s; send the request again in {seconds} s"
    return Problem("rate-limited", detail, retry_after=seconds)


def whole_seconds(microseconds: int) -> int:
    """Rounded up: a client that waits this long has waited long enough."""
    return -(-microseconds // 1_000_000)


def problem_headers(problem: Problem) -> Headers:
    """The headers a problem brings of its own: media type, Retry-After, WWW-Authenticate, Allow."""
    headers = [(b"content-type", MEDIA_TYPE.encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in problem.headers]
    if problem.retry_after is not None:
        headers.append((b"retry-after", b"%d" % problem.retry_after))
    return headers


def problem_messages(problem: Problem, request_id: str, extra: Headers) -> tuple[Message, Message]:
    """A problem document as the two ASGI messages of its response."""
    body = problem.body(request_id)
    headers = [
        *problem_headers(problem),
        *extra,
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", request_id.encode()),
    ]
    return (
        {"type": "http.response.start", "status": problem.status, "headers": headers},
        {"type": "http.response.body", "body": body},
    )
