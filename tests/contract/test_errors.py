"""What is refused is refused in one form, small, silent about the input, and never by falling over."""

import base64
import gzip
import json
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from shared.api_keys import format_key, new_secret
from tests.contract.conftest import BODY_SECONDS
from tests.gateway_process import (
    BATCH,
    INGEST,
    KEYS,
    GatewayUnderTest,
    new_event,
    problem_type,
    read_answer,
    refusal,
)

CORPUS = sorted((Path(__file__).parent / "bad_input").glob("*.jsonl"))
MIB = 1024 * 1024


def corpus() -> Iterator[Any]:
    for path in CORPUS:
        for line in path.read_text().splitlines():
            case = json.loads(line)
            yield pytest.param(case, id=f"{path.stem}:{case['name']}")


def body_of(case: dict[str, Any]) -> bytes:
    """The bytes of a case: as text, in base64, or as parts to repeat; `{{now+N}}` is a time N seconds from now."""
    if "base64" in case:
        return base64.b64decode(case["base64"])
    parts = case.get("parts", [[case.get("body", ""), 1]])
    text = "".join(part * times for part, times in parts)
    while "{{now" in text:
        before, _, rest = text.partition("{{now")
        seconds, _, after = rest.partition("}}")
        moment = datetime.now(UTC) + timedelta(seconds=int(seconds))
        text = before + moment.isoformat().replace("+00:00", "Z") + after
    return text.encode()


@pytest.mark.parametrize("case", list(corpus()))
def test_bad_input_gets_the_answer_that_is_written_beside_it(gateway: GatewayUnderTest, case: dict[str, Any]) -> None:
    answer = gateway.call(
        case.get("method", "POST"), case.get("path", INGEST), content=body_of(case),
        headers={"Content-Type": "application/json", **case.get("headers", {})},
    )  # fmt: skip
    assert answer.status_code == case["status"], answer.text[:300]
    if case["status"] >= 400:
        assert refusal(answer)[1] == case["type"]
        assert "hunter2" not in answer.text, "the input comes back"


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, "send a key"),
        ({"Authorization": "Basic dXNlcjpwYXNz"}, "send a key"),
        ({"X-API-Key": "nonsense"}, "form or its checksum"),
        ({"X-API-Key": "weir_AAAAAAAAAAAA_" + "A" * 38}, "form or its checksum"),
        ({"X-API-Key": "é" * 10}, "form or its checksum"),
        ({"X-API-Key": "k" * 30_000}, "form or its checksum"),
        ({"Authorization": "Bearer"}, "form or its checksum"),
    ],
)
def test_a_call_without_a_good_key_is_401_and_asks_for_one(
    gateway: GatewayUnderTest, headers: dict[str, str], said: str
) -> None:
    encoded: Any = {name: value.encode("latin-1") for name, value in headers.items()}
    for path in (INGEST, BATCH, KEYS):
        answer = gateway.call("POST", path, key=None, headers=encoded, json={"client_id": "a", "name": "b"})
        assert refusal(answer) == (401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert said in answer.json()["detail"]


def test_a_right_public_id_with_a_wrong_secret_is_401(gateway: GatewayUnderTest) -> None:
    forged = format_key(gateway.key.split("_")[1], new_secret())
    answer = gateway.ingest(new_event(), key=forged)
    assert refusal(answer) == (401, "unauthenticated")
    assert answer.json()["detail"] == "no such API key"


@pytest.mark.parametrize("path", ["/nowhere", "/api/v1/events", INGEST + "/", "/api/v1/keys/x/y/z", "/%00", "/a%2e"])
def test_a_path_that_is_not_there_is_404(gateway: GatewayUnderTest, path: str) -> None:
    assert refusal(gateway.call("GET", path)) == (404, "not-found")


@pytest.mark.parametrize("path", [INGEST, BATCH, "/healthz", "/metrics"])
@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH"])
def test_another_method_is_405_and_names_the_right_one(gateway: GatewayUnderTest, method: str, path: str) -> None:
    answer = gateway.call(method, path)
    assert refusal(answer) == (405, "method-not-allowed")
    assert answer.headers["allow"] == ("POST" if path in (INGEST, BATCH) else "GET")


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (INGEST, {"Content-Type": "text/plain"}),
        (INGEST, {"Content-Type": "application/x-ndjson"}),
        (BATCH, {"Content-Type": "application/x-www-form-urlencoded"}),
        (BATCH, {"Content-Type": "application/json", "Content-Encoding": "br"}),
        (BATCH, {"Content-Type": "application/json", "Content-Encoding": "gzip, gzip"}),
    ],
)
def test_a_body_of_another_kind_is_415(gateway: GatewayUnderTest, path: str, headers: dict[str, str]) -> None:
    assert refusal(gateway.post(path, b"{}", headers=headers)) == (415, "unsupported-media-type")


def too_large_bodies() -> Iterator[Any]:
    yield pytest.param({"content": b" " * (5 * MIB + 1)}, id="plain")
    yield pytest.param({"content": (b" " * 65_536 for _ in range(90))}, id="chunked")
    yield pytest.param(
        {"content": gzip.compress(b" " * (200 * MIB), 9), "headers": {"Content-Encoding": "gzip"}}, id="bomb"
    )


@pytest.mark.parametrize("request_parts", list(too_large_bodies()))
def test_a_body_above_5_mib_is_413_however_it_comes(gateway: GatewayUnderTest, request_parts: dict[str, Any]) -> None:
    headers = {"Content-Type": "application/json", **request_parts.get("headers", {})}
    answer = gateway.call("POST", BATCH, content=request_parts["content"], headers=headers)
    assert refusal(answer) == (413, "too-large")
    assert gateway.ingest(new_event()).status_code == 202


def test_a_body_of_exactly_5_mib_is_taken(gateway: GatewayUnderTest) -> None:
    body = json.dumps(new_event()).encode()
    assert gateway.post(INGEST, body + b" " * (5 * MIB - len(body))).status_code == 202
    body = json.dumps(new_event()).encode()
    packed = gzip.compress(body + b" " * (5 * MIB - len(body)))
    assert gateway.post(INGEST, packed, headers={"Content-Encoding": "gzip"}).status_code == 202


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        gzip.compress(b"{}")[:-3],
        gzip.compress(b"{}") + b"x",
        zlib.compress(b"{}"),
        b"\x1f\x8b" + b"\0" * 40,
    ],
    ids=["nothing", "plain", "cut", "more", "zlib", "garbage"],
)
def test_a_broken_gzip_stream_is_400(gateway: GatewayUnderTest, body: bytes) -> None:
    assert refusal(gateway.post(INGEST, body, headers={"Content-Encoding": "gzip"})) == (400, "bad-request")


@pytest.mark.parametrize("path", [INGEST, BATCH, KEYS])
def test_a_large_bad_body_gets_a_small_answer_that_holds_nothing_of_it(gateway: GatewayUnderTest, path: str) -> None:
    for filler in ("hunter2" * 2000, "\\u00e9" * 2500):
        for body in (
            f'"{filler}"',
            f'{{"{filler}": 1}}',
            f'{{"event_id": "{filler}", "event_type": "{filler}", "payload": "{filler}", "occurred_at": "{filler}"}}',
            f'{{"client_id": "{filler}", "name": "{filler}", "scopes": ["{filler}"], "expires_at": "{filler}"}}',
            f'{{"events": [{{"event_id": "{filler}", "{filler}": 1}}]}}',
            f'{{"events": [{",".join(["7"] * 900)}, "{filler}"]}}',
            filler,
        ):
            answer = gateway.post(path, body.encode(), key=gateway.admin)
            assert answer.status_code in (400, 422)
            refusal(answer)
            assert "hunter2" not in answer.text
            assert len(answer.content) < 6000


@pytest.mark.parametrize("path", [KEYS, KEYS + "x/rotate", "/nowhere"])
def test_calls_for_keys_take_no_more_than_a_small_body(gateway: GatewayUnderTest, path: str) -> None:
    chunks = (b'"' + b"x" * 65_536 for _ in range(40))
    answer = gateway.call("POST", path, key=None, content=chunks, headers={"Content-Type": "application/json"})
    assert refusal(answer)[0] in (401, 404, 413)


@pytest.mark.parametrize("request_id", ["abc", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "a" * 128, "x:/+=-._"])
def test_a_sane_request_id_comes_back(gateway: GatewayUnderTest, request_id: str) -> None:
    for answer in (
        gateway.ingest(new_event(), headers={"X-Request-ID": request_id}),
        gateway.post(INGEST, b"", headers={"X-Request-ID": request_id}),
        gateway.manage("GET", headers={"X-Request-ID": request_id}),
        gateway.call("GET", "/nowhere", headers={"X-Request-ID": request_id}),
        gateway.http.get("/healthz", headers={"X-Request-ID": request_id}),
    ):
        assert answer.headers["x-request-id"] == request_id


@pytest.mark.parametrize("request_id", ["", "a" * 129, "two words", "<script>", "é", "a\tb", 'quote"'])
def test_another_request_id_is_replaced_by_a_new_one(gateway: GatewayUnderTest, request_id: str) -> None:
    headers: Any = {"X-Request-ID": request_id.encode("latin-1")}
    answer = gateway.call("POST", INGEST, json=new_event(), headers=headers)
    assert answer.headers["x-request-id"] != request_id
    assert len(answer.headers["x-request-id"]) == 24


def test_every_response_has_one_request_id(gateway: GatewayUnderTest) -> None:
    for path in ("/healthz", "/docs", "/openapi.json", "/metrics", "/nowhere", KEYS):
        answer = gateway.call("GET", path)
        assert len(answer.headers.get_list("x-request-id")) == 1, path


def test_what_is_not_http_is_400_in_the_same_form(gateway: GatewayUnderTest) -> None:
    for garbage in (b"\x16\x03\x01\x02\x00\x01\x00", b"HELLO\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n",
                    b"GET / HTTP/1.1\r\nA b: c\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: 1x\r\n\r\n"):  # fmt: skip
        with gateway.connection() as sock:
            sock.sendall(garbage)
            status, headers, body = read_answer(sock)
            assert (status, problem_type(body)) == (400, "bad-request"), garbage
            assert headers["x-request-id"]
            assert headers["content-type"] == "application/problem+json"


def test_headers_that_do_not_end_in_time_are_408_and_silent_connections_are_closed(gateway: GatewayUnderTest) -> None:
    with gateway.connection() as silent, gateway.connection() as slow:
        began = time.monotonic()
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: t\r\n")
        for _ in range(4):  # a header now and then does not buy time
            time.sleep(BODY_SECONDS / 8)
            slow.sendall(b"X-More: 1\r\n")
        status, headers, body = read_answer(slow)
        assert (status, problem_type(body), headers["connection"]) == (408, "request-timeout", "close")
        assert slow.recv(1) == silent.recv(1) == b""
        assert BODY_SECONDS * 0.9 < time.monotonic() - began < BODY_SECONDS + 3


def test_a_kept_connection_is_not_held_by_a_part_of_a_second_request(gateway: GatewayUnderTest) -> None:
    with gateway.connection() as kept:
        kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n")
        assert read_answer(kept)[0] == 200
        kept.sendall(b"\r\n")  # an empty line before a request is allowed; uvicorn then forgets its own time-out
        began = time.monotonic()
        assert read_answer(kept)[0] == 408
        assert kept.recv(1) == b""
        assert time.monotonic() - began < BODY_SECONDS + 3


def test_a_kept_connection_may_send_many_requests_over_more_than_the_deadline(gateway: GatewayUnderTest) -> None:
    with gateway.connection() as kept:
        for _ in range(6):
            kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n")
            assert read_answer(kept)[0] == 200
            time.sleep(BODY_SECONDS / 4)


@pytest.mark.parametrize("end", [b"\r\n\r\n", b""], ids=["complete", "endless"])
def test_headers_above_64_kib_are_431(gateway: GatewayUnderTest, end: bytes) -> None:
    with gateway.connection() as sock:
        fields = b"".join(b"X-%d: %s\r\n" % (number, b"v" * 1000) for number in range(70))
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: t\r\n" + fields + b"X: y" + end)
        status, _, body = read_answer(sock)
    assert (status, problem_type(body)) == (431, "headers-too-large")


def test_a_large_body_in_the_packet_of_a_small_head_is_no_large_head(gateway: GatewayUnderTest) -> None:
    with gateway.connection() as sock:
        body = json.dumps(new_event(payload={"a": "x" * 150_000})).encode()
        sock.sendall(
            f"POST {INGEST} HTTP/1.1\r\nHost: t\r\nX-API-Key: {gateway.key}\r\n"
            f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        assert read_answer(sock)[0] == 202


def test_a_refused_upload_is_read_on_for_a_while_and_no_longer(gateway: GatewayUnderTest) -> None:
    with gateway.connection() as sock:
        sock.sendall(f"POST {BATCH} HTTP/1.1\r\nHost: t\r\nContent-Length: 900000000\r\n\r\n".encode())
        assert sock.recv(10_000).startswith(b"HTTP/1.1 401")
        began = time.monotonic()
        with pytest.raises(OSError, match=r"reset|pipe|abort"):
            while time.monotonic() - began < 10:
                sock.sendall(b"x")
                time.sleep(0.05)
        assert time.monotonic() - began < 2 * BODY_SECONDS + 3


def test_a_slow_body_of_a_call_for_keys_is_408(gateway: GatewayUnderTest) -> None:
    with gateway.connection() as slow:
        slow.sendall(
            f"POST {KEYS} HTTP/1.1\r\nHost: t\r\nX-API-Key: {gateway.admin}\r\n"
            "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{".encode()
        )
        status, _, body = read_answer(slow)
    assert (status, problem_type(body)) == (408, "body-timeout")


def test_the_documentation_shows_both_ingest_calls_and_loads_nothing_from_elsewhere(gateway: GatewayUnderTest) -> None:
    for path in ("/docs", "/redoc"):
        page = gateway.http.get(path)
        assert page.status_code == 200
        assert "http://" not in page.text.replace("http://127.0.0.1", "")
        assert "https://" not in page.text
        for asset in _assets(page.text):
            assert gateway.http.get(asset).status_code == 200, asset
    schema = gateway.http.get("/openapi.json").json()
    for path in (INGEST, BATCH):
        operation = schema["paths"][path]["post"]
        assert {"200", "202", "400", "401", "403", "408", "413", "415", "422", "429", "503"} <= set(
            operation["responses"]
        )
        assert operation["security"]
    assert "example" in json.dumps(schema["paths"][INGEST])
    assert {"/api/v1/keys/", "/api/v1/keys/{public_id}", "/api/v1/keys/{public_id}/rotate"} <= set(schema["paths"])


def test_the_example_of_the_documentation_is_accepted_but_for_its_age(gateway: GatewayUnderTest) -> None:
    schema = gateway.http.get("/openapi.json").json()
    content = schema["paths"][INGEST]["post"]["requestBody"]["content"]["application/json"]
    example = {**content["schema"]["example"], "occurred_at": datetime.now(UTC).isoformat()}
    assert gateway.ingest(example).status_code == 202


def test_the_metrics_are_prometheus_text_without_ids(gateway: GatewayUnderTest) -> None:
    event = new_event(event_id="an-id-to-look-for")
    gateway.ingest(event)
    text = gateway.http.get("/metrics").text
    assert 'weir_gateway_requests_total{route="/api/v1/events/ingest",status="202"}' in text
    assert "an-id-to-look-for" not in text
    assert gateway.key.split("_")[1] not in text


def _assets(page: str) -> list[str]:
    found = []
    for attribute in ('src="', 'href="'):
        found += [part.partition('"')[0] for part in page.split(attribute)[1:]]
    return [asset for asset in found if asset.startswith("/")]


def test_a_client_that_leaves_in_the_middle_of_a_body_does_no_harm(gateway: GatewayUnderTest) -> None:
    for _ in range(5):
        with gateway.connection() as gone:
            head = f"POST {INGEST} HTTP/1.1\r\nHost: t\r\nX-API-Key: {gateway.key}\r\nContent-Length: 99\r\n\r\n"
            gone.sendall(head.encode() + b"{")
    answer: httpx2.Response = gateway.ingest(new_event())
    assert answer.status_code == 202
    assert "Traceback" not in gateway.service.logs()


def test_malformed_json_is_placed_where_the_client_put_it(gateway: GatewayUnderTest) -> None:
    single = gateway.post(INGEST, b'{"event_id": nope}').json()
    assert single["detail"].startswith("the body is not valid JSON")
    assert "errors" not in single
    lines = gateway.post(
        BATCH, b'{"event_id":"a","event_type":"t","payload":{}}\n{bad', headers={"Content-Type": "application/x-ndjson"}
    ).json()
    (error,) = lines["errors"]
    assert error["pointer"] == "/events/1"
    assert error["detail"].startswith("is not valid JSON")
