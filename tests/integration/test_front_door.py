"""One port for everything: nginx with the shipped configuration before a real gateway, analytics API and processor."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from websockets.sync.client import connect

from deploy.embedded.local_address import free_port
from deploy.migrations import migrate
from shared.api_keys import Scope
from tests.analytics_process import running_analytics
from tests.conftest import empty, with_database
from tests.front_door import FrontDoor, running_front_door
from tests.gateway_process import (
    BATCH,
    INGEST,
    KEYS,
    GatewayUnderTest,
    new_event,
    refusal,
    running_gateway,
    running_processor,
)
from tests.live_tail import TailViewing
from tests.pipeline import rows
from tests.servers import RunningServer
from tests.waiting import eventually

TRUST = {"WEIR_TRUSTED_PROXIES": "127.0.0.1"}


@dataclass
class House:
    """What stands behind the door, and a client before it."""

    door: FrontDoor
    gateway: GatewayUnderTest
    http: httpx2.Client
    reader: str

    def post(self, path: str, body: Any, **headers: str) -> httpx2.Response:
        return self.http.post(path, json=body, headers={"X-API-Key": self.gateway.key, **headers})

    def read(self, path: str) -> httpx2.Response:
        return self.http.get(path, headers={"X-API-Key": self.reader})


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: RunningServer, redis_server: RunningServer
) -> Iterator[House]:
    """One for all tests here: each uses ids of its own."""
    folder = tmp_path_factory.mktemp("house")
    postgres_server.ensure_running()
    redis_server.ensure_running()
    redis_url, database_url = redis_server.url, with_database(postgres_server.url, "weir_front_door")
    empty(redis_url)
    for statement in ("DROP DATABASE IF EXISTS weir_front_door", "CREATE DATABASE weir_front_door"):
        with psycopg.connect(postgres_server.url, autocommit=True) as connection:
            connection.execute(statement.encode())
    migrate(database_url)
    with (
        running_gateway(folder, database_url, redis_url, **TRUST) as gateway,
        running_analytics(folder, database_url, redis_url, **TRUST) as analytics,
        running_processor(folder, database_url, redis_url),
        running_front_door(folder, gateway.port, analytics.port) as door,
        httpx2.Client(base_url=door.address, verify=door.trust, timeout=60) as http,
    ):
        yield House(door, gateway, http, analytics.make_key("acme", Scope.READ))


@contextmanager
def from_address(house: House, address: str) -> Iterator[httpx2.Client]:
    """A client at another address of this machine."""
    transport = httpx2.HTTPTransport(verify=house.door.trust, local_address=address)
    with httpx2.Client(base_url=house.door.address, transport=transport, timeout=60) as http:
        yield http


@contextmanager
def posting(house: House) -> Iterator[None]:
    """Events all the while: a tail shows what comes once it has found the end of the stream."""
    done = threading.Event()

    def post() -> None:
        while not done.wait(0.1):
            house.gateway.ingest(new_event())

    thread = threading.Thread(target=post, daemon=True)
    thread.start()
    yield
    done.set()
    thread.join(30)


def test_every_call_reaches_the_service_it_is_for(house: House) -> None:
    assert house.post(INGEST, new_event(event_id="one/1")).status_code == 202
    stored = house.post(BATCH, {"events": [new_event(event_id="two"), new_event()]}, Prefer="wait=30")
    assert stored.status_code in (200, 201), stored.text
    eventually(lambda: house.read("/api/v1/events/one%2F1").status_code == 200, within_seconds=30)
    assert len(house.read("/api/v1/events").json()["events"]) >= 3
    assert house.http.get(KEYS, headers={"X-API-Key": house.gateway.admin}).status_code == 200
    assert house.read("/api/v1/analytics/queue-status").status_code == 200
    assert refusal(house.post("/api/v1/failed-events/replay", {})) == (403, "forbidden")
    assert refusal(house.http.get("/api/v1/audit/logs")) == (401, "unauthenticated")

    assert "<html" in house.http.get("/dashboard").text
    assert "/gateway/openapi.json" in house.http.get("/gateway/docs").text
    assert INGEST in house.http.get("/gateway/openapi.json").json()["paths"]
    assert "/api/v1/analytics/query" in house.http.get("/openapi.json").json()["paths"]
    assert house.http.get("/gateway/readyz").status_code == house.http.get("/readyz").status_code == 200
    for path in ("/metrics", "/gateway/metrics", "/%6detrics", "/gateway//metrics"):
        assert house.http.get(path).status_code == 404, path


def test_what_flows_is_told_at_once(house: House) -> None:
    credentials = {"X-API-Key": house.reader}
    with connect(
        f"wss://127.0.0.1:{house.door.port}/api/v1/ws/metrics",
        additional_headers=credentials, ssl=house.door.trust, open_timeout=30,
    ) as socket:  # fmt: skip
        socket.send(json.dumps({"type": "subscribe"}))
        assert "lag" in json.loads(socket.recv(timeout=30))
    with house.http.stream("GET", "/api/v1/live/events", headers=credentials) as answer:
        assert answer.status_code == 200
        with posting(house):
            name, _, data = TailViewing(answer).next()
        assert (name, data["client_id"]) == ("event", "acme")


def test_the_door_refuses_what_the_services_would(house: House) -> None:
    too_large = house.post(INGEST, {"payload": "x" * 5_242_880})
    assert refusal(too_large) == (413, "too-large")
    head = house.http.get("/readyz", headers={"X-Long": "x" * 20_000})
    assert refusal(head) == (431, "headers-too-large")


def test_calls_without_a_key_are_bounded_for_each_address_and_others_are_not(house: House) -> None:
    with from_address(house, "127.0.0.77") as stranger, from_address(house, "127.0.0.78") as other:
        answers = [stranger.get("/healthz") for _ in range(260)]
        refused = [answer for answer in answers if answer.status_code == 429]
        # 200 at once, and 10 more a second, however slowly they come here.
        assert {answer.status_code for answer in answers[:200]} == {200}
        assert refused
        assert refusal(refused[0]) == (429, "rate-limited")
        assert refused[0].headers["retry-after"] == "1"
        assert stranger.get("/api/v1/events", headers={"X-API-Key": house.reader}).status_code == 200
        assert other.get("/healthz").status_code == 200


def test_a_service_that_is_away_is_a_503_to_try_again(tmp_path: Path) -> None:
    nobody = free_port()
    with (
        running_front_door(tmp_path, nobody, nobody) as door,
        httpx2.Client(base_url=door.address, verify=door.trust, timeout=60) as http,
    ):
        for answer in (http.get("/readyz"), http.post(INGEST, json={})):
            assert refusal(answer) == (503, "unavailable")
            assert answer.headers["retry-after"] == "1"


def test_audit_shows_the_address_the_door_saw_and_none_that_is_claimed(house: House) -> None:
    claimed = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9", "X-API-Key": house.gateway.key}
    elsewhere = {"local_address": "127.0.0.2"}  # not what the services trust: an address of a client
    wanted = "SELECT address FROM audit_logs WHERE request_id = %s"
    doors = {house.door.address: house.door.trust, f"http://127.0.0.1:{house.gateway.port}": True}
    for address, verify in doors.items():
        transport = httpx2.HTTPTransport(verify=verify, **elsewhere)
        with httpx2.Client(base_url=address, transport=transport, timeout=60) as http:
            answer = http.post(INGEST, json=new_event(), headers=claimed)
            assert answer.status_code == 202
            call = answer.headers["x-request-id"]
        found = eventually(lambda call=call: rows(house.gateway.database_url, wanted, call), within_seconds=30)
        assert found == [("127.0.0.2",)], address
