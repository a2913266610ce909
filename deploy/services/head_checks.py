"""What is wrong with a request's head that uvicorn's parsers let pass, or fail at without an answer. Pure."""

import re
from typing import Final

Headers = list[tuple[bytes, bytes]]

_HANDSHAKE_FIELDS: Final = 100
_HANDSHAKE_LINE_BYTES: Final = 4096
"""Both well below what the WebSocket library takes: what is beyond its own limits it does not answer at all."""
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{22}==")


def head_fault(http_version: str, headers: Headers) -> str | None:
    """Why a request is refused, or None. RFC 9112: sections 3.2 (one Host) and 6.1 (codings a server does not know)."""
    hosts = 0
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding" and value.strip().lower() != b"chunked":
            return "the only Transfer-Encoding that is understood is chunked"
    if http_version not in {"1.0", "1.1"}:
        return "this server speaks HTTP/1.1"
    if hosts > 1 or (hosts == 0 and http_version == "1.1"):
        return "a request has exactly one Host field"
    return None


def handshake_fault(method: str, target: bytes, headers: Headers) -> str | None:
    """Why a WebSocket handshake is refused, or None. RFC 6455, section 4.2.1; nothing of the input is told."""
    fields = [name for name, _ in headers]
    if method != "GET" or b"content-length" in fields or b"transfer-encoding" in fields:
        return "a WebSocket handshake is a GET request without a body"
    if len(headers) > _HANDSHAKE_FIELDS:
        return f"a WebSocket handshake may have at most {_HANDSHAKE_FIELDS} fields"
    if len(target) > _HANDSHAKE_LINE_BYTES or any(len(n) + len(v) > _HANDSHAKE_LINE_BYTES for n, v in headers):
        return f"a line of a WebSocket handshake may have at most {_HANDSHAKE_LINE_BYTES} bytes"
    if [value for name, value in headers if name == b"sec-websocket-version"] != [b"13"]:
        return "Sec-WebSocket-Version must be 13"
    keys = [value.strip() for name, value in headers if name == b"sec-websocket-key"]
    if len(keys) != 1 or not _KEY.fullmatch(keys[0]):
        return "Sec-WebSocket-Key must be 16 bytes in base64"
    return None
