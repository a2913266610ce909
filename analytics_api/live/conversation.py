"""What a viewer may say over its WebSocket, and how a connection ends. Pure."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import msgspec
from pydantic import TypeAdapter, ValidationError

from analytics_api.parameters import ClientId

PROTOCOL: Final = "weir.v1"
"""The subprotocol that pages offer beside the one with the key, and that is chosen: a key is not sent back."""


class CloseCode(IntEnum):
    """Why the server ends a connection; the reason beside it says more. 1009, 1011 and 1012 are the library's own."""

    UNSUPPORTED = 1003
    POLICY = 1008
    TOO_SLOW = 1013
    BAD_MESSAGE = 4400
    KEY_REFUSED = 4401
    FORBIDDEN = 4403
    NOT_SUBSCRIBED = 4408
    TOO_MANY_VIEWERS = 4429


class ClosedError(Exception):
    """The server ends the connection."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class DisconnectedError(Exception):
    """The viewer ended it, or is gone."""


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Show this client, or, with None, all that the key may see."""

    client_id: str | None


@dataclass(frozen=True, slots=True)
class Ping:
    """Answered by ``{"type": "pong"}``."""


class _Said(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    client_id: str | None = None


_decoder: Final = msgspec.json.Decoder(_Said)
_client_id: Final[TypeAdapter[str]] = TypeAdapter(ClientId)
_EXPECTED: Final = 'send {"type": "subscribe", "client_id"?: text} or {"type": "ping"}'


def understand(text: str | None) -> Subscribe | Ping:
    """What a frame says; None is a binary one. Raises ClosedError, whose reason does not repeat what was said."""
    if text is None:
        raise ClosedError(CloseCode.UNSUPPORTED, "binary messages are not understood: " + _EXPECTED)
    try:
        said = _decoder.decode(text)
        if said.type == "ping" and said.client_id is None:
            return Ping()
        if said.type == "subscribe":
            return Subscribe(None if said.client_id is None else _client_id.validate_python(said.client_id))
    except (msgspec.DecodeError, ValidationError, UnicodeError, RecursionError):
        pass
    raise ClosedError(CloseCode.BAD_MESSAGE, "this message is not understood: " + _EXPECTED)


def chosen_subprotocol(offered: list[str]) -> str | None:
    """The one to select. Browsers that offered some and see none selected end the connection (RFC 6455, 4.1)."""
    return PROTOCOL if PROTOCOL in offered else next(iter(offered), None)
