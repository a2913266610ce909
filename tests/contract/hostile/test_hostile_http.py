"""What is sent is not what HTTP allows, or is only just that: byte sequences of ``http.jsonl``, each on a connection of
its own, with the statuses that must come back in order, and no more answers than those.
"""

import gzip
import json
import socket
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.contract.hostile.conftest import BODY_SECONDS, Site
from tests.contract.hostile.verdict import refusal_faults
from tests.gateway_process import BATCH, INGEST, KEYS
from tests.raw_http import RawConnection, exchange

EVENT = '{"event_id":"x1","event_type":"t","payload":{}}'
MIB = 1024 * 1024
SERVICES = ("gateway", "analytics")
LATE_SECONDS = 4 * BODY_SECONDS + 20
"""Long after every deadline of the services, on a slow machine too."""
REPLAY = "/api/v1/failed-events/replay"


def cases() -> Iterator[Any]:
    for line in (Path(__file__).parent / "http.jsonl").read_text().splitlines():
        case = json.loads(line)
        for service in [case["only"]] if "only" in case else SERVICES:
            yield pytest.param(service, case, id=f"{case['name']}-{service}")


def bytes_of(case: dict[str, Any], key: str) -> bytes:
    parts = case["send"] if isinstance(case["send"], list) else [[case["send"], 1]]
    text = "".join(part * times for part, times in parts)
    return text.replace("{{KEY}}", key).replace("{{EVENT}}", EVENT).encode("latin-1")


@pytest.mark.parametrize(("service", "case"), list(cases()))
def test_bytes_that_are_hardly_http_get_the_answers_written_beside_them(
    site: Site, service: str, case: dict[str, Any]
) -> None:
    answers = exchange(site.ports[service], bytes_of(case, site.admin))
    assert [answer.status for answer in answers] == case.get(service, case["status"])
    for answer in answers:
        if answer.status >= 400 and answer.body:
            assert refusal_faults(answer) == []
        assert answer.headers["x-request-id"]
    assert not site.failures()


@pytest.mark.parametrize("service", SERVICES)
def test_every_method_of_every_call_is_answered_in_the_same_form(site: Site, service: str) -> None:
    methods = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "PURGE")
    with RawConnection(site.ports[service]) as connection:
        paths = connection.call("GET", "/openapi.json").json()["paths"]
        for path, operations in paths.items():
            documented = {method.upper() for method in operations}
            taken = documented | {"HEAD"} if "GET" in documented else documented  # as GET, without the body
            for method in (method for method in methods if method not in taken):
                answer = connection.call(method, path.replace("{", "").replace("}", ""), [("X-API-Key", site.admin)])
                assert answer.status == 405, (method, path)
                assert set(answer.headers["allow"].split(", ")) == documented, (method, path)
                assert method == "HEAD" or refusal_faults(answer) == []


def test_a_compressed_body_is_never_inflated_beyond_what_is_allowed(site: Site) -> None:
    def deflated(body: bytes) -> bytes:
        return zlib.compress(body)[2:-4]

    event = EVENT.encode()
    nested = gzip.compress(gzip.compress(event))
    bombs = {
        "gzip": (gzip.compress(b" " * (64 * MIB), 9), 413),
        "gzip in gzip": (nested, 400),
        "a bomb in a bomb": (gzip.compress(gzip.compress(b" " * (64 * MIB), 9), 9), 400),
        "two members": (gzip.compress(event) + gzip.compress(event), 400),
        "a thousand empty members": (gzip.compress(b"") * 1000, 400),
        "a name of 1 MiB in its head": (b"\x1f\x8b\x08\x08" + b"\0" * 6 + b"n" * MIB + b"\0" + deflated(event), 400),
        "a wrong checksum": (gzip.compress(event)[:-8] + b"\0" * 8, 400),
        "a wrong length": (gzip.compress(event)[:-4] + b"\xff" * 4, 400),
        "a reserved flag": (b"\x1f\x8b\x08\xe0" + gzip.compress(event)[4:], 400),
        "random bytes": (b"\x1f\x8b\x08" + bytes(range(256)) * 8, 400),
    }
    with RawConnection(site.gateway.port) as connection:
        for path in (INGEST, BATCH):
            for what, (body, status) in bombs.items():
                headers = [("X-API-Key", site.acme), ("Content-Type", "application/json"), ("Content-Encoding", "gzip")]
                answer = connection.call("POST", path, headers, body)
                assert (answer.status, refusal_faults(answer)) == (status, []), (what, answer.body)
            for coding in (
                "deflate",
                "br",
                "zstd",
                "compress",
                "gzip,gzip",
                "gzip, identity",
                "x-gzip",
                "GZIP;q=1",
                "*",
            ):
                headers = [("X-API-Key", site.acme), ("Content-Type", "application/json"), ("Content-Encoding", coding)]
                answer = connection.call("POST", path, headers, zlib.compress(event))
                assert (answer.status, refusal_faults(answer)) == (415, []), coding


@pytest.mark.parametrize("path", [KEYS, REPLAY])
def test_a_compressed_body_of_an_admins_call_is_no_json(site: Site, path: str) -> None:
    with RawConnection(site.gateway.port) as connection:
        headers = [("X-API-Key", site.admin), ("Content-Type", "application/json"), ("Content-Encoding", "gzip")]
        answer = connection.call("POST", path, headers, gzip.compress(b'{"client_id": "a", "name": "b"}'))
        assert answer.status in (400, 415, 422)
        assert refusal_faults(answer) == []


@pytest.mark.parametrize("service", SERVICES)
def test_slow_and_silent_connections_are_ended_and_hold_up_nobody(site: Site, service: str) -> None:
    """A byte now and then buys no time: not for the request line, a field, a body, or a chunk."""
    key = f"X-API-Key: {site.admin}\r\nContent-Type: application/json\r\n"
    beginnings = (
        b"", b"G", b"GET /healthz HTT", b"GET /healthz HTTP/1.1\r\nX-Slow: ", b"GET /healthz HTTP/1.1\r\nHost: t\r\n",
        f"POST {INGEST} HTTP/1.1\r\nHost: t\r\n{key}Content-Length: 5000\r\n\r\n".encode(),
        f"POST {KEYS} HTTP/1.1\r\nHost: t\r\n{key}Content-Length: 5000\r\n\r\n".encode(),
        f"POST {INGEST} HTTP/1.1\r\nHost: t\r\n{key}Transfer-Encoding: chunked\r\n\r\n1388\r\n".encode(),
        f"POST {INGEST} HTTP/1.1\r\nHost: t\r\n{key}Transfer-Encoding: chunked\r\n\r\n1;".encode(),
        f"GET /api/v1/health HTTP/1.1\r\nHost: t\r\n{key}Content-Length: 5000\r\n\r\n".encode(),
    )  # fmt: skip
    port = site.ports[service]
    with ExitStack() as stack, RawConnection(port) as quick:
        slow = {
            beginning: stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=LATE_SECONDS))
            for beginning in beginnings
        }
        for beginning, connection in slow.items():
            connection.sendall(beginning)
        deadline = time.monotonic() + LATE_SECONDS
        while slow:
            assert quick.call("GET", "/healthz").status == 200
            assert time.monotonic() < deadline, f"still open: {list(slow)}"
            slow = {beginning: one for beginning, one in slow.items() if not is_ended_by_a_byte(one, beginning)}


def is_ended_by_a_byte(connection: socket.socket, beginning: bytes) -> bool:
    """Send one byte more, unless the connection is to be silent, and look whether the other side has closed it."""
    connection.settimeout(0.02)
    try:
        if beginning:
            connection.sendall(b"1")
        return connection.recv(65_536) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True
