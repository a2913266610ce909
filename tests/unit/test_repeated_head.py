"""A head that is compared instead of parsed must never be taken for what a parser would not make of it."""

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.services.repeated_head import MAX_BYTES, RepeatedHead, repeated_head


class Parsed:
    """What httptools makes of a packet: the requests in it, and whether the last one is whole."""

    def __init__(self, packet: bytes) -> None:
        self.requests: list[tuple[bytes, bytes, list[tuple[bytes, bytes]], bytes]] = []
        self.whole = 0
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(packet)

    def on_message_begin(self) -> None:
        self.url, self.headers, self.body = b"", list[tuple[bytes, bytes]](), b""

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.whole += 1
        self.requests.append((self._parser.get_method(), self.url, self.headers, self.body))


def packet(body: bytes, *lines: bytes, length: bytes | None = None) -> bytes:
    said = b"%d" % len(body) if length is None else length
    head = [b"POST /api/v1/events/ingest HTTP/1.1", b"Host: x", b"Content-Length: " + said, *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def head_of(first: bytes) -> RepeatedHead | None:
    (request,) = Parsed(first).requests
    _, _, headers, body = request
    return repeated_head(first, {"headers": headers}, body)


def test_the_same_head_gives_its_body_whatever_its_length() -> None:
    head = head_of(packet(b"a body", b"Authorization: Bearer k"))
    assert head is not None
    for body in (b"", b"b", b"a longer body\r\n\r\n", b"x" * 70_000):
        assert head.body_of(packet(body, b"Authorization: Bearer k")) == body


@pytest.mark.parametrize(
    "other",
    [
        packet(b"a body", b"Authorization: Bearer other"),
        packet(b"a body", b"Authorization: Bearer k", b"Prefer: wait=1"),
        packet(b"a body", b"Authorization: Bearer k")[:-1],
        packet(b"a body", b"Authorization: Bearer k") + b"x",
        packet(b"a body", b"Authorization: Bearer k", length=b"5"),
        packet(b"a body", b"Authorization: Bearer k", length=b"7"),
        packet(b"a body", b"Authorization: Bearer k", length=b""),
        packet(b"a body", b"Authorization: Bearer k", length=b"+6"),
        packet(b"a body", b"Authorization: Bearer k", length=b"6 "),
        packet(b"a body", b"Authorization: Bearer k", length=b"\xb2"),
        packet(b"a body", b"Authorization: Bearer k", length=b"6\r\nTransfer-Encoding: chunked"),
        packet(b"a body", b"Authorization: Bearer k").replace(b"/ingest", b"/ingest/batch"),
        b"",
        b"POST",
    ],
)
def test_whatever_differs_in_more_than_the_length_is_not_that_head(other: bytes) -> None:
    head = head_of(packet(b"a body", b"Authorization: Bearer k"))
    assert head is not None
    assert head.body_of(other) is None


@pytest.mark.parametrize(
    "first",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\n\r\n",
        packet(b"ok", b"Content-Length-Not: 2", b"X: " + b"y" * MAX_BYTES),
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\t2\r\n\r\nok",
    ],
)
def test_a_head_that_cannot_be_compared_is_not_kept(first: bytes) -> None:
    assert head_of(first) is None


def test_a_packet_that_is_more_than_the_request_is_not_kept() -> None:
    first = packet(b"ok")
    _, _, headers, body = Parsed(first).requests[0]
    assert repeated_head(first + packet(b"more"), {"headers": headers}, body) is None
    assert repeated_head(first[5:], {"headers": headers}, b"other") is None


LINES = st.sampled_from(
    [
        b"Authorization: Bearer k", b"content-length : 2", b"X: \r\n folded", b"X: a\nY: b", b"X:content-length: 9",
        b"X:", b"X: \xff",
    ]
)  # fmt: skip
BITS = st.sampled_from([b"\r\n", b"\r", b"\n", b" ", b"0", b"9", b":", b"content-length: 1\r\n", b"\r\n\r\n", b"\x00"])


@given(st.lists(LINES, max_size=3), st.binary(max_size=12), st.binary(max_size=12), st.data())
def test_a_head_that_is_taken_for_repeated_parses_as_the_first_one_did(
    lines: list[bytes], body: bytes, other: bytes, data: st.DataObject
) -> None:
    first = packet(body, *lines)
    try:
        parsed = Parsed(first)
    except httptools.HttpParserError:
        return
    if parsed.whole != 1:
        return
    method, url, headers, seen = parsed.requests[0]
    head = repeated_head(first, {"headers": headers}, seen)
    if head is None:
        return
    second = packet(other, *lines)
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(second)))
        second = second[:at] + data.draw(BITS) + second[at + data.draw(st.integers(0, 2)) :]
    found = head.body_of(second)
    if found is None:
        return
    (again,) = Parsed(second).requests
    rest = [(name, value) for name, value in headers if name != b"content-length"]
    assert again[:2] == (method, url)
    assert [(name, value) for name, value in again[2] if name != b"content-length"] == rest
    assert again[3] == found
