"""Every request stands in the audit log, once, whatever became of it; and no answer leaves without its record."""

import csv
import io
import json
import os
import random
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import redis

from tests.analytics_seed import seed_call
from tests.analytics_server import AnalyticsUnderTest, serve_analytics
from tests.gateway_process import (
    BATCH,
    INGEST,
    KEYS,
    SECRET_KEY,
    GatewayUnderTest,
    ServiceProcess,
    new_event,
    refusal,
    running_gateway,
    running_processor,
)
from tests.pipeline import rows, value, wait_until_drained
from tests.waiting import eventually

LOGS, EXPORT = "/api/v1/audit/logs", "/api/v1/audit/export"


@contextmanager
def running_analytics(folder: Path, database_url: str, redis_url: str) -> Iterator[httpx2.Client]:
    """The analytics API as a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {
        "DATABASE_URL": database_url, "REDIS_URL": redis_url, "SECRET_KEY": SECRET_KEY,
        "WEIR_ANALYTICS_PORT": str(port), "RATE_LIMIT_REQUESTS_PER_MINUTE": "0",
    }  # fmt: skip
    service = ServiceProcess(["analytics", "run"], folder, settings)

    def is_ready(client: httpx2.Client) -> bool:
        assert service.process.poll() is None, service.logs()
        try:
            return client.get("/readyz").status_code == 200
        except httpx2.TransportError:
            return False

    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            eventually(lambda: is_ready(client), within_seconds=30)
            yield client
    finally:
        service.stop()


Call = Callable[[dict[str, str]], httpx2.Response]


def possible_calls(gateway: GatewayUnderTest, analytics: httpx2.Client) -> list[tuple[str, Call]]:
    """Service and call, of every kind that there is; each takes the headers to send."""
    http = gateway.http
    keys = {"X-API-Key": gateway.key}, {"X-API-Key": gateway.admin}, {"X-API-Key": "weir_no_key"}, {}
    json_type = {"Content-Type": "application/json"}
    calls: list[tuple[str, Call]] = []

    def add(service: str, client: httpx2.Client, method: str, path: str, **rest: Any) -> None:
        more = rest.pop("headers", {})
        calls.append((service, lambda sent: client.request(method, path, headers={**sent, **more}, **rest)))

    for key in keys:
        calls.append(("gateway", lambda sent, key=key: http.post(INGEST, json=new_event(), headers=sent | key)))  # type: ignore[misc]
        events = [new_event() for _ in range(3)]
        add("gateway", http, "POST", BATCH, json={"events": events}, headers=key)
        add("gateway", http, "POST", BATCH, content=b'{"events": [', headers=key | json_type)
        add("gateway", http, "POST", INGEST, content=b"x" * 300_000, headers=key | json_type)
        add("gateway", http, "GET", INGEST, headers=key)
        add("gateway", http, "POST", INGEST, content=b"a", headers=key | {"Content-Type": "text/plain"})
        add("gateway", http, "GET", KEYS, headers=key)
        add("gateway", http, "PATCH", KEYS + "nobody", json={"surprise": 1}, headers=key)
        add("gateway", http, "DELETE", "/nowhere", headers=key)
        add("analytics", analytics, "GET", "/api/v1/events", params={"limit": 5}, headers=key)
        add("analytics", analytics, "GET", "/api/v1/events/none", headers=key)
        add("analytics", analytics, "GET", LOGS, params={"status": "4xx"}, headers=key)
        add("analytics", analytics, "GET", EXPORT, params={"format": "csv"}, headers=key)
        add("analytics", analytics, "GET", LOGS, params={"status": "none"}, headers=key)
        add("analytics", analytics, "PUT", LOGS, headers=key)
    return calls


def test_every_request_of_a_random_session_appears_exactly_once(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    chance = random.Random(20261122)
    with (
        running_gateway(tmp_path, database_url, redis_url) as gateway,
        running_analytics(tmp_path, database_url, redis_url) as analytics,
    ):
        calls = possible_calls(gateway, analytics)

        def make(number: int) -> tuple[str, str, str, int]:
            service, call = calls[number % len(calls)]
            request_id = f"session-{number}"
            answer = call({"X-Request-ID": request_id})
            assert answer.headers["x-request-id"] == request_id
            return request_id, service, answer.request.method, answer.status_code

        numbers = list(range(4 * len(calls)))
        chance.shuffle(numbers)
        half = len(numbers) // 2
        with ThreadPoolExecutor(6) as threads:
            with running_processor(tmp_path, database_url, redis_url) as processor:
                answered = list(threads.map(make, numbers[:half]))
                eventually(lambda: value(database_url, "SELECT count(*) FROM audit_logs") > 0, within_seconds=30)
                processor.process.kill()  # in the midst of whatever it is at
            answered += threads.map(make, numbers[half:])
        environment = {"WEIR_CLAIM_IDLE_SECONDS": "1"}
        heir = ServiceProcess(
            ["processor", "run"], tmp_path, {"DATABASE_URL": database_url, "REDIS_URL": redis_url} | environment
        )
        try:
            with redis.Redis.from_url(redis_url) as client:
                wait_until_drained(client, within_seconds=60)
        finally:
            heir.stop()
    found = rows(database_url, "SELECT request_id, service, method, status FROM audit_logs "
                 "WHERE request_id LIKE 'session-%%' ORDER BY 1")  # fmt: skip
    assert found == sorted(answered)
    assert value(database_url, "SELECT sum(calls) FROM audit_logs") == len(answered)
    statuses = Counter(status for *_, status in answered)
    assert {200, 202, 400, 401, 403, 404, 405, 415, 422} <= set(statuses)
    text = json.dumps(rows(database_url, "SELECT path, query, user_agent, request_id FROM audit_logs"))
    assert gateway.key.rpartition("_")[2] not in text


def test_what_is_kept_of_a_call_is_true(tmp_path: Path, database_url: str, redis_url: str) -> None:
    with (
        running_gateway(tmp_path, database_url, redis_url) as gateway,
        running_processor(tmp_path, database_url, redis_url),
    ):
        body = json.dumps({"client_id": "new", "name": "n"}).encode()
        headers = {"Content-Type": "application/json", "X-Request-ID": "made", "User-Agent": "auditor/1"}
        made = gateway.post(f"{KEYS}?token=hush", body, key=gateway.admin, headers=headers)
        chunks = iter([body[:10], body[10:]])
        gateway.call("POST", KEYS, key=gateway.admin, content=chunks, headers=headers | {"X-Request-ID": "chunked"})
        missing = gateway.call("GET", "/nowhere", headers={"X-Request-ID": "missing"})
        assert gateway.ingest(new_event(), headers={"X-Request-ID": "event"}).status_code == 202
        query = "SELECT key_id, client_id, method, endpoint, path, query, status, error, bytes_in, bytes_out, calls, " \
            "address, user_agent, duration_us > 0 FROM audit_logs WHERE request_id = %s"  # fmt: skip
        eventually(lambda: len(rows(database_url, query, "event")) == 1, within_seconds=30)
        ((key_id, *rest),) = rows(database_url, query, "made")
        assert key_id in gateway.admin
        assert rest == [
            "operators", "POST", KEYS, KEYS, "token=***", 201, None, len(body), len(made.content), 1, "127.0.0.1",
            "auditor/1", True,
        ]  # fmt: skip
        assert rows(database_url, query, "chunked")[0][8] == len(body)
        ((_, client, *rest),) = rows(database_url, query, "missing")
        assert (client, rest[1], rest[4], rest[5], rest[7]) == (
            "acme", "unmatched", 404, "not-found", len(missing.content),
        )  # fmt: skip
        ((_, client, *rest),) = rows(database_url, query, "event")
        assert (client, rest[1], rest[4], rest[7]) == ("acme", INGEST, 202, None)


def test_a_websocket_handshake_is_a_request(tmp_path: Path, database_url: str, redis_url: str) -> None:
    with running_gateway(tmp_path, database_url, redis_url) as gateway:
        for key in ("", f"X-API-Key: {gateway.key}\r\n", "X-API-Key: weir_no_key\r\n"):
            with gateway.connection() as sock:
                sock.sendall(
                    f"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}"
                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
                )
                assert int(sock.recv(1000).split()[1]) in (401, 404)
        with running_processor(tmp_path, database_url, redis_url):
            wanted = [(None, 401, "unauthenticated"), (None, 404, "not-found"), ("acme", 404, "not-found")]
            query = "SELECT client_id, status, error FROM audit_logs WHERE path = '/ws' ORDER BY client_id, status"
            eventually(lambda: len(rows(database_url, query)) == 3, within_seconds=30)
            assert Counter(rows(database_url, query)) == Counter(wanted)


def test_no_call_is_served_while_too_many_records_wait(tmp_path: Path, database_url: str, redis_url: str) -> None:
    limit = {"WEIR_BACKLOG_LIMIT_RECORDS": "4"}
    with running_gateway(tmp_path, database_url, redis_url, **limit) as gateway:
        for _ in range(4):
            assert gateway.ingest(new_event()).status_code == 202
        late = new_event()
        assert refusal(gateway.ingest(late)) == (503, "backlog-full")
        assert refusal(gateway.ingest({})) == (503, "backlog-full")
        assert refusal(gateway.manage("GET")) == (503, "backlog-full")
        assert refusal(gateway.ingest(late, key=None)) == (503, "backlog-full")
        with serve_analytics(database_url, redis_url, backlog_limit_records=4) as api:
            assert api.refused(LOGS) == (503, "backlog-full")
        assert gateway.http.get("/readyz").status_code == 200
        with running_processor(tmp_path, database_url, redis_url):
            eventually(lambda: gateway.ingest(late).status_code == 202, within_seconds=30, what="it takes events again")
            with redis.Redis.from_url(redis_url) as client:
                wait_until_drained(client, within_seconds=30)
    assert value(database_url, "SELECT count(*) FROM events") == 5
    assert value(database_url, "SELECT count(*) FROM audit_logs WHERE status = 202") == 5


def test_strangers_beyond_the_limit_are_counted_and_others_are_not_held_up(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    limit = {"WEIR_KEYLESS_LIMIT_PER_ADDRESS": "5", "WEIR_MAX_CONCURRENCY": "8"}
    with running_gateway(tmp_path, database_url, redis_url, **limit) as gateway:
        paths = [INGEST, KEYS, "/nowhere"] * 10

        def call(path: str) -> int:
            key = "weir_no_key" if path == KEYS else None
            return gateway.call("POST", path, key=key, json={}).status_code

        with ThreadPoolExecutor(30) as threads:
            strangers = [threads.submit(call, path) for path in paths]
            assert {gateway.ingest(new_event()).status_code for _ in range(5)} == {202}
            statuses = Counter(one.result() for one in strangers)
        assert statuses[429] == 25
        assert statuses[401] + statuses[404] + statuses[405] == 5
        refused = gateway.call("POST", INGEST, key=None, json={})
        assert refusal(refused) == (429, "rate-limited")
        with running_processor(tmp_path, database_url, redis_url), redis.Redis.from_url(redis_url) as client:
            wait_until_drained(client, within_seconds=30)
    assert value(database_url, "SELECT sum(calls) FROM audit_logs WHERE key_id IS NULL") == 31
    counted = rows(database_url, "SELECT address, sum(calls)::int, count(*) < 10 FROM audit_logs WHERE status = 429 "
                   "GROUP BY 1")  # fmt: skip
    assert counted == [("127.0.0.1", 26, True)]


@pytest.fixture
def api(database_url: str, redis_url: str) -> Iterator[AnalyticsUnderTest]:
    with serve_analytics(database_url, redis_url) as served:
        yield served


CHOICES: dict[str, list[Any]] = {
    "client_id": ["acme", "bravo", None], "key_id": ["k1", "k2", None], "method": ["GET", "POST"],
    "endpoint": ["/a", "/b", "unmatched"], "path": ["/a/1", "/a/2", "/b%41", "/"], "status": [200, 202, 404, 429, 503],
    "service": ["gateway", "analytics"], "address": ["192.0.2.1", "2001:db8::/64"], "duration_us": [10, 999, 2500],
}  # fmt: skip


def expected(calls: list[dict[str, Any]], asked: dict[str, str]) -> list[str]:
    """What a reader of the whole log would find, newest first."""

    def matches(call: dict[str, Any]) -> bool:
        status = asked.get("status", "")
        return all(
            (
                *(call[name] == asked[name] for name in ("client_id", "key_id", "method", "service", "address", "error",
                                                         "request_id") if name in asked),
                "endpoint" not in asked
                or (call["status"] >= 400 if asked["endpoint"] == "failed" else call["endpoint"] == asked["endpoint"]),
                call["path"].startswith(asked.get("path", "")),
                str(call["status"]).startswith(status.rstrip("x")),
                call["duration_us"] >= float(asked.get("min_duration_ms", 0)) * 1000,
            )
        )  # fmt: skip

    return [call["request_id"] for call in calls if matches(call)]


ASKED: dict[str, list[str]] = {
    "client_id": ["acme", "bravo"], "key_id": ["k1"], "method": ["GET", "POST"], "endpoint": ["/a", "failed"],
    "path": ["/a", "/b%41", "/"], "status": ["4xx", "2xx", "404", "503"], "service": ["gateway"],
    "address": ["2001:db8::/64"], "min_duration_ms": ["0.5", "2.5"], "error": ["e404", "e503"], "request_id": ["r7"],
}  # fmt: skip


def test_filters_pages_and_exports_are_what_a_reader_of_the_whole_log_finds(api: AnalyticsUnderTest) -> None:
    chance = random.Random(7)
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=20)
    calls = []
    for number in range(120):
        call = {name: chance.choice(choice) for name, choice in CHOICES.items()}
        call |= {
            "at": begin + timedelta(minutes=10 * (number // 2)),  # two at a time: the order needs more than the time
            "error": f"e{call['status']}" if call["status"] >= 400 else None,
            "request_id": f"r{number}", "instance": "seeded", "user_agent": 'says "a, b"\nand c',
        }  # fmt: skip
        seed_call(api.database_url, **call)
        calls.insert(0, call)
    for trial in range(60):
        names = chance.sample(sorted(ASKED), chance.randint(0, 3))
        asked = {name: chance.choice(ASKED[name]) for name in names}
        span = {"from": begin.isoformat(), "to": (begin + timedelta(hours=11)).isoformat()}
        found: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = api.json(LOGS, {**asked, **span, "limit": "17", **cursor})
            found += [log["request_id"] for log in page["logs"]]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert found == expected(calls, asked), asked
        form = "csv" if trial % 2 else "ndjson"
        text = api.get(EXPORT, {**asked, **span, "format": form}).content.decode()
        read = (
            list(csv.DictReader(io.StringIO(text))) if trial % 2 else [json.loads(line) for line in text.splitlines()]
        )
        assert [one["request_id"] for one in read] == found
        assert all(one["user_agent"] == 'says "a, b"\nand c' for one in read)


def test_an_export_is_read_page_by_page(api: AnalyticsUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analytics_api.audit_logs._EXPORT_PAGE", 7)
    for number in range(30):
        seed_call(api.database_url, request_id=f"r{number:02}", instance="seeded", endpoint="/x")
    answer = api.get(EXPORT, {"endpoint": "/x"})
    assert answer.headers["content-disposition"] == 'attachment; filename="audit.ndjson"'
    assert "content-length" not in answer.headers
    found = [json.loads(line) for line in answer.text.splitlines()]
    assert sorted(one["request_id"] for one in found) == [f"r{number:02}" for number in range(30)]
    assert api.get(EXPORT, {"endpoint": "/none"}).content == b""
    assert api.get(EXPORT, {"endpoint": "/none", "format": "csv"}).text.startswith("at,service,instance,client_id")
    log = api.json(LOGS, {"endpoint": "/x", "limit": 1})["logs"][0]
    assert set(log) == set(found[0])


def test_an_export_shows_a_reader_its_own_client_only(api: AnalyticsUnderTest) -> None:
    for client in ("acme", "rival"):
        seed_call(api.database_url, client_id=client, instance="seeded")
    answer = api.get(EXPORT, key=api.reader("acme"))
    assert {json.loads(line)["client_id"] for line in answer.text.splitlines()} == {"acme"}
    assert api.refused(EXPORT, {"client_id": "rival"}, key=api.reader("acme")) == (403, "forbidden")
    assert api.refused(EXPORT, key=None) == (401, "unauthenticated")
    for parameters in (
        {"format": "xml"},
        {"limit": "5"},
        {"status": "6xx"},
        {"min_duration_ms": "-1"},
        {"path": "\x00"},
    ):
        assert api.refused(EXPORT, parameters) == (422, "invalid-query")


def test_records_of_an_older_release_are_still_read() -> None:
    from shared.audit_record import AuditRecord, decode_records, encode_full_record, encode_record_head

    head = encode_record_head(1, "gateway", "g", "c", "k", "GET", "/", "/", "", 5, "::1", "ua", os.urandom(4).hex())
    older = head + b"\xcc\xc8" + b"\xa0"  # as the atomic function ends it: status 200, no error
    newer = encode_full_record(head, 404, "not-found", 77, 3)
    (first, second) = decode_records(b"\xdd\x00\x00\x00\x02" + older + newer)
    assert isinstance(first, AuditRecord)
    assert (first.status, first.bytes_out, first.calls) == (200, None, 1)
    assert (second.status, second.error, second.bytes_out, second.calls) == (404, "not-found", 77, 3)
    assert (first.request_id, first.bytes_in) == (second.request_id, second.bytes_in)
