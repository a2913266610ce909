"""The two ingest calls: what is accepted, what comes back, and what the answer says of it."""

import gzip
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
import redis

from shared.api_keys import Scope
from shared.audit_record import decode_records
from shared.redis_keys import ShardKeys
from shared.stream_entry import EventFrame, decode_blocks
from tests.contract.conftest import BODY_SECONDS
from tests.gateway_process import (
    BATCH,
    INGEST,
    GatewayUnderTest,
    new_event,
    problem_type,
    read_answer,
    redis_database,
    refusal,
    running_gateway,
    running_processor,
)
from tests.servers import RunningServer
from tests.waiting import eventually

NDJSON = {"Content-Type": "application/x-ndjson"}
KEYS = ShardKeys(0)


@pytest.fixture
def streams(gateway: GatewayUnderTest) -> Iterator[Any]:
    with redis.Redis.from_url(gateway.redis_url) as client:
        yield client


def stored_frame(client: Any, entry_id: str) -> tuple[str, EventFrame]:
    """Client and event of an entry that holds one."""
    [(_, fields)] = client.xrange(KEYS.events.stream, entry_id, entry_id)
    [block] = decode_blocks(fields[b"e"])
    [frame] = block.events
    return block.client_id, frame


def event_count(client: Any) -> int:
    return int(client.hget(KEYS.events.totals, "added") or 0)


def statuses(answer: httpx2.Response) -> list[str]:
    return [result["status"] for result in answer.json()["results"]]


def test_an_event_is_accepted_and_kept_as_it_was_sent(gateway: GatewayUnderTest, streams: Any) -> None:
    body = (
        b'{"event_id":"as-sent","event_type":"a.b:c/d_e-1","payload": {"n" : 1.10, "s": "\\u00e9 \xf0\x9f\x8e\x89"} }'
    )
    answer = gateway.post(INGEST, body)
    assert answer.status_code == 202
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert (told["event_id"], told["status"]) == ("as-sent", "accepted")
    client_id, frame = stored_frame(streams, told["entry_id"])
    assert client_id == "acme"
    assert frame.payload == b'{"n" : 1.10, "s": "\\u00e9 \xf0\x9f\x8e\x89"}'
    assert (frame.event_id, frame.event_type, frame.occurred_us) == ("as-sent", "a.b:c/d_e-1", None)


def test_the_time_it_occurred_is_kept_whatever_its_offset(gateway: GatewayUnderTest, streams: Any) -> None:
    moment = datetime.now(UTC).replace(microsecond=123456) - timedelta(days=2)
    for text in (
        moment.isoformat(),
        moment.isoformat().replace("+00:00", "Z"),
        (moment + timedelta(hours=5, minutes=30)).isoformat().replace("+00:00", "+05:30"),
    ):
        told = gateway.ingest(new_event(occurred_at=text)).json()
        _, frame = stored_frame(streams, told["entry_id"])
        assert frame.occurred_us is not None
        assert abs(frame.occurred_us - moment.timestamp() * 1e6) <= 1


def test_the_same_id_again_is_a_duplicate_with_the_first_ones_entry_id(gateway: GatewayUnderTest) -> None:
    event = new_event()
    first, again = gateway.ingest(event), gateway.ingest(event)
    assert again.status_code == 202
    assert again.json() == {**first.json(), "status": "duplicate"}


def test_a_duplicate_with_another_payload_is_said_to_differ(gateway: GatewayUnderTest) -> None:
    event = new_event()
    gateway.ingest(event)
    told = gateway.ingest({**event, "payload": {"amount": 2}}).json()
    assert told["status"] == "duplicate"
    assert "differs" in told["detail"]


def test_two_clients_may_use_the_same_id(gateway: GatewayUnderTest) -> None:
    event, other = new_event(), gateway.make_key("bravo", Scope.INGEST)
    assert gateway.ingest(event).json()["status"] == "accepted"
    assert gateway.ingest(event, key=other).json()["status"] == "accepted"


def test_a_batch_tells_of_each_event_in_order(gateway: GatewayUnderTest) -> None:
    known, fresh, twice = new_event(), new_event(), new_event()
    gateway.ingest(known)
    answer = gateway.batch([fresh, known, twice, twice])
    assert answer.status_code == 202
    told = answer.json()
    assert (told["accepted"], told["duplicates"], told["rejected"]) == (2, 2, 0)
    assert [one["event_id"] for one in told["results"]] == [one["event_id"] for one in (fresh, known, twice, twice)]
    assert statuses(answer) == ["accepted", "duplicate", "accepted", "duplicate"]


@pytest.mark.parametrize("count", [1, 1000])
def test_a_batch_may_hold_1_to_1000_events(gateway: GatewayUnderTest, count: int) -> None:
    assert gateway.batch([new_event() for _ in range(count)]).json()["accepted"] == count


@pytest.mark.parametrize("count", [0, 1001])
def test_a_batch_of_another_size_is_refused(gateway: GatewayUnderTest, streams: Any, count: int) -> None:
    before = event_count(streams)
    assert refusal(gateway.batch([new_event() for _ in range(count)])) == (422, "invalid-event")
    assert event_count(streams) == before


def test_a_batch_with_bad_events_is_refused_whole_and_every_bad_place_named(
    gateway: GatewayUnderTest, streams: Any
) -> None:
    before = event_count(streams)
    events: list[Any] = [new_event() for _ in range(60)]
    bad = [1, 7, *range(20, 50)]
    for place in bad:
        events[place] = new_event(event_type="no spaces, please")
    answer = gateway.batch(events)
    assert refusal(answer) == (422, "invalid-event")
    document = answer.json()
    assert document["detail"].endswith(": " + ", ".join(map(str, bad)))
    assert document["errors"][1]["pointer"] == "/events/7/event_type"
    assert event_count(streams) == before


def test_a_lenient_batch_keeps_the_good_and_says_why_not_the_others(gateway: GatewayUnderTest) -> None:
    good = [new_event(), new_event()]
    events = [good[0], new_event(payload=[]), 7, good[1], {"event_type": "t"}]
    answer = gateway.batch(events, headers={"Prefer": "handling=lenient"})
    assert answer.status_code == 202
    told = answer.json()
    assert (told["accepted"], told["duplicates"], told["rejected"]) == (2, 0, 3)
    assert statuses(answer) == ["accepted", "rejected", "rejected", "accepted", "rejected"]
    assert [one["event_id"] for one in told["results"]] == [
        good[0]["event_id"], events[1]["event_id"], None, good[1]["event_id"], None,
    ]  # fmt: skip
    assert "/payload must be a JSON object" in told["results"][1]["detail"]


def test_a_lenient_batch_may_have_nothing_good(gateway: GatewayUnderTest) -> None:
    told = gateway.batch([1, 2], headers={"Prefer": "respond-async, handling=lenient; x=y"}).json()
    assert (told["accepted"], told["rejected"]) == (0, 2)


def test_lines_are_events_and_empty_lines_are_none(gateway: GatewayUnderTest) -> None:
    events = [new_event() for _ in range(3)]
    body = b"\r\n".join(json.dumps(event).encode() for event in events) + b"\n\n  \n"
    answer = gateway.post(BATCH, body, headers=NDJSON)
    assert statuses(answer) == ["accepted"] * 3


def test_a_line_that_is_not_json_refuses_all_lines_or_only_itself_if_lenient(gateway: GatewayUnderTest) -> None:
    body = json.dumps(new_event()).encode() + b'\n{"event_id":\n' + json.dumps(new_event()).encode()
    assert refusal(gateway.post(BATCH, body, headers=NDJSON)) == (400, "malformed-json")
    lenient = gateway.post(BATCH, body, headers={**NDJSON, "Prefer": "handling=lenient"})
    assert statuses(lenient) == ["accepted", "rejected", "accepted"]


def test_a_line_that_is_not_utf_8_refuses_all_lines_or_only_itself_if_lenient(gateway: GatewayUnderTest) -> None:
    good = [json.dumps(new_event(payload={"name": "Grüße"}), ensure_ascii=False).encode() for _ in range(2)]
    body = good[0] + b'\n{"event_id":"l1","event_type":"t","payload":{"name":"Gr\xfc\xdfe"}}\n' + good[1]
    strict = gateway.post(BATCH, body, headers=NDJSON)
    assert refusal(strict) == (400, "malformed-json")
    assert strict.json()["errors"] == [{"pointer": "/events/1", "detail": "is not UTF-8 at byte 55"}]
    lenient = gateway.post(BATCH, body, headers={**NDJSON, "Prefer": "handling=lenient"})
    assert statuses(lenient) == ["accepted", "rejected", "accepted"]
    assert lenient.json()["results"][1] == {
        "event_id": None, "status": "rejected", "detail": "it is not UTF-8 at byte 55",
    }  # fmt: skip


def test_a_compressed_body_is_taken(gateway: GatewayUnderTest) -> None:
    body = gzip.compress(json.dumps({"events": [new_event() for _ in range(200)]}).encode())
    assert gateway.post(BATCH, body, headers={"Content-Encoding": "gzip"}).json()["accepted"] == 200


def test_a_chunked_body_is_taken(gateway: GatewayUnderTest) -> None:
    body = json.dumps(new_event()).encode()
    answer = gateway.call(
        "POST", INGEST, content=(body[at : at + 7] for at in range(0, len(body), 7)),
        headers={"Content-Type": "application/json; charset=utf-8"},
    )  # fmt: skip
    assert answer.status_code == 202


@pytest.mark.parametrize(
    "headers", [{"X-API-Key": "{}"}, {"Authorization": "Bearer {}"}, {"authorization": "bearer {}"}]
)
def test_a_key_is_taken_from_either_header(gateway: GatewayUnderTest, headers: dict[str, str]) -> None:
    sent = {name: value.format(gateway.key) for name, value in headers.items()}
    assert gateway.ingest(new_event(), key=None, headers=sent).status_code == 202


def test_key_checked_answers_carry_the_limit_and_what_is_left(gateway: GatewayUnderTest) -> None:
    key = gateway.make_key("limited", Scope.INGEST, rate_limit=3)
    answers = [gateway.ingest(new_event(), key=key), gateway.post(INGEST, b"{", key=key), gateway.batch([], key=key)]
    assert [answer.status_code for answer in answers] == [202, 400, 422]
    assert [answer.headers["ratelimit-policy"] for answer in answers] == ['"key";q=3;w=60'] * 3
    assert [answer.headers["ratelimit"].partition(";t=")[0] for answer in answers] == [
        f'"key";r={n}' for n in (2, 1, 0)
    ]
    refused = gateway.ingest(new_event(), key=key)
    assert refusal(refused) == (429, "rate-limited")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["ratelimit"] == f'"key";r=0;t={refused.headers["retry-after"]}'


def test_a_limit_of_0_is_none(gateway: GatewayUnderTest) -> None:
    key = gateway.make_key("free", Scope.INGEST, rate_limit=0)
    answer = gateway.ingest(new_event(), key=key)
    assert answer.headers["ratelimit-policy"] == '"none";q=999999999'


def test_waiting_is_202_while_nothing_stores_and_200_once_it_is_stored(
    gateway: GatewayUnderTest, gateway_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    events = [new_event(), new_event()]
    began = time.monotonic()
    assert gateway.batch(events, headers={"Prefer": "wait=1"}).status_code == 202
    assert 0.9 < time.monotonic() - began < 5
    with running_processor(tmp_path_factory.mktemp("processor"), gateway_database_url, gateway.redis_url):
        stored = gateway.batch([*events, new_event()], headers={"Prefer": "wait=20"})
        assert stored.status_code == 200
        assert statuses(stored) == ["duplicate", "duplicate", "accepted"]
        single = gateway.ingest(new_event(), headers={"Prefer": 'wait="15"'})
        assert (single.status_code, single.json()["status"]) == (200, "accepted")


def test_a_full_backlog_is_503_for_all_but_calls_without_events(
    redis_server: RunningServer, gateway_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    redis_url = redis_database(redis_server.url, 4)
    with running_gateway(
        tmp_path_factory.mktemp("backlog"), gateway_database_url, redis_url, WEIR_BACKLOG_LIMIT_EVENTS="3",
        RATE_LIMIT_REQUESTS_PER_MINUTE="50",
    ) as gateway:  # fmt: skip
        filling = gateway.batch([new_event() for _ in range(3)])
        assert filling.status_code == 202, filling.text
        refused = gateway.ingest(new_event())
        assert refusal(refused) == (503, "backlog-full")
        assert refused.headers["ratelimit"].startswith('"key";r=49;')
        assert gateway.post(INGEST, b"[").status_code == 400, "what brings no events is judged as ever"


def test_every_call_leaves_an_audit_record(gateway: GatewayUnderTest, streams: Any) -> None:
    request_id = f"audited-{time.time_ns()}"
    gateway.ingest(new_event(), headers={"X-Request-ID": request_id, "User-Agent": "tests/1"})
    gateway.post(INGEST, b"{", headers={"X-Request-ID": request_id}, params={"token": "hush", "a": "1"})
    gateway.ingest(new_event(), key=None, headers={"X-Request-ID": request_id})
    gateway.call("GET", "/nowhere", headers={"X-Request-ID": request_id})
    gateway.manage("PATCH", "none", headers={"X-Request-ID": request_id}, json={"name": "x"})
    records = [
        record
        for _, fields in streams.xrevrange(KEYS.audit.stream, count=30)[::-1]
        for record in decode_records(fields[b"e"])
        if record.request_id == request_id
    ]
    assert [(one.status, one.error, one.client_id, one.endpoint) for one in records] == [
        (202, "", "acme", INGEST),
        (400, "malformed-json", "acme", INGEST),
        (401, "unauthenticated", None, INGEST),
        (404, "not-found", "acme", "unmatched"),
        (404, "not-found", "operators", "/api/v1/keys/{public_id}"),
    ]
    assert records[0].user_agent == "tests/1"
    assert records[1].query == "token=***&a=1"
    assert all(one.address == "127.0.0.1" and one.service == "gateway" for one in records)


def test_a_request_in_flight_is_answered_after_sigterm_and_then_the_process_ends(
    redis_server: RunningServer, gateway_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    redis_url = redis_database(redis_server.url, 3)
    with running_gateway(tmp_path_factory.mktemp("drain"), gateway_database_url, redis_url) as gateway:
        body = json.dumps(new_event()).encode()
        head = f"POST {INGEST} HTTP/1.1\r\nHost: t\r\nX-API-Key: {gateway.key}\r\nContent-Length: {len(body)}\r\n\r\n"
        with gateway.connection() as begun:
            begun.sendall(head.encode() + body[:10])
            gateway.ingest(new_event())  # so the first has been read by then
            gateway.service.terminate()
            eventually(lambda: _refuses_connections(gateway), what="no new connections")
            begun.sendall(body[10:])
            status, headers, _ = read_answer(begun)
        assert (status, headers["connection"]) == (202, "close")
        assert gateway.service.ended() == 0


def test_a_waiting_request_does_not_hold_up_the_end_beyond_the_time_to_drain(
    redis_server: RunningServer, gateway_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    redis_url = redis_database(redis_server.url, 3)
    with running_gateway(
        tmp_path_factory.mktemp("drain"), gateway_database_url, redis_url, WEIR_DRAIN_SECONDS="1"
    ) as gateway:
        waiting = threading.Thread(target=_ignore_cut, args=(gateway,))
        waiting.start()
        with redis.Redis.from_url(redis_url) as client:
            eventually(lambda: b"weir_gateway_requests_active 1.0" in gateway.http.get("/metrics").content)
            assert client.xlen(KEYS.events.stream) >= 1
        gateway.service.terminate()
        assert gateway.service.ended(within_seconds=6) == 0
        waiting.join()


def test_a_slow_body_is_408_and_nothing_of_it_is_kept(gateway: GatewayUnderTest, streams: Any) -> None:
    before = event_count(streams)
    with gateway.connection() as slow:
        slow.sendall(
            f"POST {INGEST} HTTP/1.1\r\nHost: t\r\nX-API-Key: {gateway.key}\r\nContent-Length: 100\r\n\r\n{{".encode()
        )
        began = time.monotonic()
        status, headers, body = read_answer(slow)
        assert slow.recv(1) == b""
    assert (status, problem_type(body), headers["connection"]) == (408, "body-timeout", "close")
    assert BODY_SECONDS * 0.9 < time.monotonic() - began < BODY_SECONDS + 3
    assert event_count(streams) == before


def _refuses_connections(gateway: GatewayUnderTest) -> bool:
    try:
        with gateway.connection():
            return False
    except ConnectionRefusedError:
        return True


def _ignore_cut(gateway: GatewayUnderTest) -> None:
    try:
        with httpx2.Client(base_url=gateway.http.base_url, timeout=30) as own:
            own.post(INGEST, json=new_event(), headers={"X-API-Key": gateway.key, "Prefer": "wait=25"})
    except httpx2.TransportError:
        pass
