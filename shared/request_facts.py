"""What is known of a request before its body is read: ids, address, key. Plain functions over an ASGI scope."""

import random
import re
import time
from collections.abc import Iterable, MutableMapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote

import msgspec

from shared.masking import MASK, mask_secrets
from shared.redis_keys import shard_of

Scope = MutableMapping[str, Any]

KEY_SUBPROTOCOL: Final = "weir.key."
"""Before the key, in the WebSocket subprotocol that carries one."""

_SANE_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
_MAX_TEXT: Final = 512
_MOST_BYTES: Final = 2**53
_HEAD: Final = "weir.head"
"""Where a scope keeps what was read of it: a connection that sends the same head again has the same scope."""
_SECRET_PARAMETERS: Final = (
    "key", "token", "secret", "password", "passwd", "pwd", "auth", "signature", "credential", "session", "cookie",
    "jwt",
)  # fmt: skip


class RequestFacts(msgspec.Struct, gc=False):
    """The facts of one request, as audit and problem documents need them."""

    at_us: int
    request_id: str
    method: str
    path: str
    query: str
    address: str
    user_agent: str
    token: str | None
    content_type: bytes
    content_encoding: bytes
    prefer: str
    names_itself: bool
    """Whether the request id is the caller's own."""


def read_facts(scope: Scope) -> RequestFacts:
    """Read them in one pass over the headers, or, of a scope that was read before, tell them anew: time and id differ.

    Never raises; what cannot be read is left out.
    """
    head: RequestFacts | None = scope.get(_HEAD)
    if head is None:
        head = scope[_HEAD] = _read_head(scope)
        return head
    return RequestFacts(
        time.time_ns() // 1000, head.request_id if head.names_itself else new_request_id(),
        head.method, head.path, head.query, head.address, head.user_agent, head.token, head.content_type,
        head.content_encoding, head.prefer, head.names_itself,
    )  # fmt: skip


def _read_head(scope: Scope) -> RequestFacts:
    token: str | None = None
    content_type = content_encoding = b""
    request_id = user_agent = prefer = ""
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, credentials = value.partition(b" ")
            if scheme.lower() == b"bearer":
                token = credentials.strip().decode("latin-1")
        elif name == b"x-api-key":
            token = token or value.strip().decode("latin-1")
        elif name == b"content-type":
            content_type = value.partition(b";")[0].strip().lower()
        elif name == b"user-agent":
            user_agent = _common_text(value[:_MAX_TEXT])
        elif name == b"content-encoding":
            content_encoding = value.strip().lower()
        elif name == b"x-request-id":
            request_id = value.decode("latin-1") if _SANE_REQUEST_ID.fullmatch(value) else ""
        elif name == b"prefer":
            prefer = f"{prefer},{value.decode('latin-1')}" if prefer else value.decode("latin-1")
    client = scope.get("client")
    return RequestFacts(
        at_us=time.time_ns() // 1000,
        request_id=request_id or new_request_id(),
        method=str(scope.get("method", ""))[:16],
        path=_common_path((scope.get("raw_path") or quote(scope["path"]).encode())[:_MAX_TEXT]),
        query=mask_query(scope.get("query_string", b"")),
        address=client[0] if client else "",
        user_agent=user_agent,
        token=token,
        content_type=content_type,
        content_encoding=content_encoding,
        prefer=prefer,
        names_itself=request_id != "",
    )


def declared_length(scope: Scope) -> int | None:
    """The Content-Length that a request declares, if it does."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return min(int(value.lstrip(b"0")[:17] or b"0"), _MOST_BYTES)  # far beyond any limit, and still a number
    return None


def new_request_id() -> str:
    """The time in milliseconds and 48 random bits. It tells requests apart and is no secret: no call of the kernel.

    Ids so grow with time, and the index over those of the audit log takes them at its end.
    """
    # this generator is seeded anew in a forked process
    return f"{time.time_ns() // 1_000_000:012x}{random.getrandbits(48):012x}"


def key_of_subprotocols(subprotocols: Iterable[str]) -> str | None:
    """The key that a WebSocket handshake brings as the subprotocol ``weir.key.<KEY>``, if any."""
    offered = (name for name in subprotocols if name.startswith(KEY_SUBPROTOCOL))
    return next((name.removeprefix(KEY_SUBPROTOCOL) for name in offered), None)


def mask_query(query: bytes) -> str:
    """The query string, bounded, with the values of parameters that look secret replaced, as are whole API keys."""
    if not query:
        return ""
    text = _text(query)
    pairs = parse_qsl(text, keep_blank_values=True)
    if not any(_looks_secret(name, value) for name, value in pairs):
        return text
    return "&".join(f"{quote(mask_secrets(n))}={MASK if _looks_secret(n, v) else quote(v)}" for n, v in pairs)


def audit_shard(client_id: str | None, shards: int) -> int:
    """The shard that takes the audit record of a call: its client's, or the first."""
    return shard_of(client_id, shards) if client_id else 0


def _looks_secret(name: str, value: str) -> bool:
    lower = name.lower()
    if any(word in lower for word in _SECRET_PARAMETERS):
        return True
    return mask_secrets(value) != value or mask_secrets(name) != name


def _path(raw: bytes) -> str:
    """The path as it was sent; if a secret stands in it behind percent signs, decoded and without it."""
    text = _text(raw)
    if "%" not in text:
        return text
    plain = unquote(text)
    masked = mask_secrets(plain)
    return text if masked == plain else quote(masked, safe="/*")


def _text(value: bytes) -> str:
    """Bounded, storable, and without anything that has the form of a secret."""
    # PostgreSQL's text takes no NUL, and an audit row should not grow with what a stranger sends
    text = value[:_MAX_TEXT].decode("latin-1").replace("\x00", "")
    return mask_secrets(text) if "weir_" in text else text


# The same few come with nearly every request. Bounded in number and, by their callers, in size.
_common_text: Final = lru_cache(maxsize=1024)(_text)
_common_path: Final = lru_cache(maxsize=1024)(_path)
