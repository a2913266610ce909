"""The head that a connection sends again and again: all of it but the length of the body is as it was.

A producer's requests differ in their bodies alone. A parser is a function of the bytes it is given, so a head that was
parsed once, and found to be that of a plain request, need not be parsed again; it is compared. That is a tenth of the
time, and what was derived from it (``scope``) holds too.
"""

import re
from dataclasses import dataclass
from typing import Final

from shared.answers import Scope

MAX_BYTES: Final = 4096
"""Of a head that is kept; every connection keeps one."""
_MOST_DIGITS: Final = 9

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]{1,%d})\r\n" % _MOST_DIGITS, re.IGNORECASE)
_END: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class RepeatedHead:
    """A head around the digits of its Content-Length."""

    before: bytes
    after: bytes
    """Ends with the empty line."""

    def body_of(self, packet: bytes) -> bytes | None:
        """The body, if the packet is this head and exactly as many bytes as it says; else None."""
        before, after = self.before, self.after
        if not packet.startswith(before):
            return None
        at = len(before)
        end = packet.find(b"\r", at, at + _MOST_DIGITS + 1)
        digits = packet[at:end]
        if end < 0 or not digits.isdigit() or not packet.startswith(after, end):
            return None
        start = end + len(after)
        return packet[start:] if len(packet) - start == int(digits) else None


def repeated_head(packet: bytes, scope: Scope, body: bytes) -> RepeatedHead | None:
    """The head of a packet that was parsed as one whole request with this scope and body.

    None for one that cannot be compared byte by byte: too long, not the packet's only one, with lines that do not all
    end in CRLF, or without one plain Content-Length.
    """
    size = packet.find(_END) + len(_END)
    if size > MAX_BYTES or packet[size:] != body:
        return None
    head = packet[:size]
    lines = head.split(b"\r\n")[:-2]
    headers = scope["headers"]
    lengths = [value for name, value in headers if name in {b"content-length", b"transfer-encoding"}]
    found = _LENGTH.search(head)
    if found is None or lengths != [found[1]] or int(found[1]) != len(body):
        return None
    if len(lines) != len(headers) + 1 or any(b"\r" in line or b"\n" in line for line in lines):
        return None
    return RepeatedHead(head[: found.start(1)], head[found.end(1) :])
