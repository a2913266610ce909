"""Where the gateway is, and the head of a request to it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from shared.errors import UsageError


@dataclass(frozen=True, slots=True)
class GatewayAddress:
    """A URL taken apart; `prefix` is what stands before /api, where a proxy serves the gateway below a path."""

    host: str
    port: int
    secure: bool
    prefix: str

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}{self.prefix}"

    def head(self, method: str, path: str, key: str | None, body_bytes: int) -> bytes:
        """The head of a request, up to and with the empty line."""
        authorization = "" if key is None else f"Authorization: Bearer {key}\r\n"
        return (
            f"{method} {self.prefix}{path} HTTP/1.1\r\n"
            f"Host: {self.host}:{self.port}\r\n{authorization}"
            f"User-Agent: weir-load\r\nContent-Type: application/json\r\nContent-Length: {body_bytes}\r\n\r\n"
        ).encode()


def parse_address(url: str) -> GatewayAddress:
    """The address of an http or https URL. Raises UsageError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"--url {url!r} is no URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise UsageError(f"--url {url!r} is not the address of a gateway, as http://127.0.0.1:8000 is")
    secure = parts.scheme == "https"
    return GatewayAddress(parts.hostname, port or (443 if secure else 80), secure, parts.path.rstrip("/"))
