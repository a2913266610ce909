"""Answers that every part of a service gives alike: problem documents and RateLimit fields, as ASGI messages."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from shared.problems import MEDIA_TYPE, Problem

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

WHOLE_BODY: Final = "weir.body"
"""Where a scope has the whole body, if it came with the head: an extension of our server, beside ``receive``."""


def rate_limit_headers(limit: int, window_seconds: int, remaining: int, reset_us: int) -> Headers:
    """The RateLimit fields (draft-ietf-httpapi-ratelimit-headers): quota and window, what is left and for how long.

    A limit of 0 is none: the policy then names a quota that cannot be reached.
    """
    if limit == 0:
        return [(b"ratelimit-policy", b'"none";q=999999999'), (b"ratelimit", b'"none";r=999999999')]
    return [
        (b"ratelimit-policy", b'"key";q=%d;w=%d' % (limit, window_seconds)),
        (b"ratelimit", b'"key";r=%d;t=%d' % (remaining, whole_seconds(reset_us))),
    ]


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
