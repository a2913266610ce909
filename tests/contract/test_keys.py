"""API keys over HTTP, and how soon a change of one is felt."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import psycopg
import pytest
import redis

from deploy.embedded.postgres_server import EmbeddedPostgres
from deploy.embedded.redis_server import EmbeddedRedis
from deploy.migrations import migrate
from shared.api_keys import Scope
from tests.gateway_process import BATCH, INGEST, KEYS, GatewayUnderTest, new_event, refusal, running_gateway
from tests.waiting import eventually

KEY_FORM = re.compile(r"weir_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}")
EFFECTIVE_SECONDS = 5.0


def make(gateway: GatewayUnderTest, **fields: Any) -> dict[str, Any]:
    answer = gateway.manage("POST", json={"client_id": "github", "name": "GitHub", **fields})
    assert answer.status_code == 201, answer.text
    key: dict[str, Any] = answer.json()
    return key


def soon(ask: Callable[[], bool], what: str) -> None:
    began = time.monotonic()
    eventually(ask, within_seconds=EFFECTIVE_SECONDS, what=what)
    assert time.monotonic() - began <= EFFECTIVE_SECONDS


def works(gateway: GatewayUnderTest, key: str) -> bool:
    return gateway.ingest(new_event(), key=key).status_code == 202


def test_a_new_key_is_shown_once_and_works_at_once(gateway: GatewayUnderTest) -> None:
    answer = gateway.manage("POST", json={"client_id": "github", "name": "GitHub \N{OCTOPUS}", "rate_limit": 6000})
    assert answer.status_code == 201
    made = answer.json()
    assert KEY_FORM.fullmatch(made["key"])
    assert made["key"].split("_")[1] == made["public_id"]
    assert answer.headers["location"] == KEYS + made["public_id"]
    assert answer.headers["cache-control"] == "no-store"
    assert (made["client_id"], made["name"], made["rate_limit"]) == ("github", "GitHub \N{OCTOPUS}", 6000)
    assert made["scopes"] == ["ingest", "read"]
    told = gateway.ingest(new_event(), key=made["key"])
    assert told.status_code == 202
    assert told.headers["ratelimit-policy"] == '"key";q=6000;w=60'


def test_lists_and_changes_never_show_a_secret(gateway: GatewayUnderTest) -> None:
    made = make(gateway, client_id="listed")
    secret = made["key"].split("_")[2]
    listed = gateway.manage("GET", params={"client_id": "listed"})
    assert [key["public_id"] for key in listed.json()["keys"]] == [made["public_id"]]
    changed = gateway.manage("PATCH", made["public_id"], json={"name": "another"})
    assert changed.json()["name"] == "another"
    assert secret not in listed.text + changed.text + gateway.manage("GET").text
    assert made["public_id"] in gateway.manage("GET").text


def test_a_disabled_key_is_refused_and_works_again_when_enabled(gateway: GatewayUnderTest) -> None:
    made = make(gateway)
    assert works(gateway, made["key"])
    gateway.manage("PATCH", made["public_id"], json={"is_active": False})
    soon(lambda: not works(gateway, made["key"]), "the key is disabled")
    assert refusal(gateway.ingest(new_event(), key=made["key"])) == (401, "unauthenticated")
    gateway.manage("PATCH", made["public_id"], json={"is_active": True})
    soon(lambda: works(gateway, made["key"]), "the key works again")


def test_deletion_expiry_rotation_and_a_new_limit_are_felt_within_5_seconds(gateway: GatewayUnderTest) -> None:
    deleted, expiring, rotated, limited = (make(gateway) for _ in range(4))
    assert all(works(gateway, key["key"]) for key in (deleted, expiring, rotated, limited))

    assert gateway.manage("DELETE", deleted["public_id"]).status_code == 204
    in_a_second = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    assert gateway.manage("PATCH", expiring["public_id"], json={"expires_at": in_a_second}).status_code == 200
    turned = gateway.manage("POST", f"{rotated['public_id']}/rotate")
    assert turned.status_code == 200
    assert turned.headers["cache-control"] == "no-store"
    assert gateway.manage("PATCH", limited["public_id"], json={"rate_limit": 1234}).json()["rate_limit"] == 1234

    def all_felt() -> bool:
        policy = gateway.ingest(new_event(), key=limited["key"]).headers["ratelimit-policy"]
        return policy == '"key";q=1234;w=60' and not any(
            works(gateway, key["key"]) for key in (deleted, expiring, rotated)
        )

    soon(all_felt, "deleted, expired, rotated and limited")
    fresh = turned.json()
    assert fresh["public_id"] == rotated["public_id"]
    assert works(gateway, fresh["key"])


def test_the_default_limit_comes_back_when_a_keys_own_is_taken_away(gateway: GatewayUnderTest) -> None:
    made = make(gateway, rate_limit=5)
    assert gateway.manage("PATCH", made["public_id"], json={"rate_limit": None}).json()["rate_limit"] is None


@pytest.mark.parametrize("scopes", [(Scope.READ,), (Scope.INGEST,), (Scope.READ, Scope.INGEST)])
def test_only_an_admin_key_administers_keys(gateway: GatewayUnderTest, scopes: tuple[Scope, ...]) -> None:
    key = gateway.make_key("acme", *scopes)
    for method, path in (("GET", ""), ("POST", ""), ("PATCH", "x"), ("DELETE", "x"), ("POST", "x/rotate")):
        body = {"client_id": "a", "name": "b"} if method == "POST" else {"name": "b"}
        answer = gateway.call(method, KEYS + path, key=key, **({} if method in ("GET", "DELETE") else {"json": body}))
        assert refusal(answer) == (403, "forbidden"), (method, path)
        assert answer.headers["ratelimit-policy"]


def test_a_key_needs_the_scope_ingest_to_send_events_and_admin_has_it(gateway: GatewayUnderTest) -> None:
    assert refusal(gateway.ingest(new_event(), key=gateway.make_key("acme", Scope.READ))) == (403, "forbidden")
    assert works(gateway, gateway.admin)


def test_keys_that_are_not_there_are_not_found(gateway: GatewayUnderTest) -> None:
    for method, path in (("PATCH", "none"), ("DELETE", "none"), ("POST", "none/rotate")):
        body = {"json": {"name": "b"}} if method == "PATCH" else {}
        assert refusal(gateway.manage(method, path, **body)) == (404, "not-found")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"client_id": "a"},
        {"client_id": "", "name": "n"},
        {"client_id": "a b", "name": "n"},
        {"client_id": "a\n", "name": "n"},
        {"client_id": "a" * 129, "name": "n"},
        {"client_id": "a", "name": ""},
        {"client_id": "a", "name": "nul\0"},
        {"client_id": "a", "name": "n", "rate_limit": -1},
        {"client_id": "a", "name": "n", "rate_limit": 10**30},
        {"client_id": "a", "name": "n", "rate_limit": "many"},
        {"client_id": "a", "name": "n", "rate_limit": "5"},
        {"client_id": "a", "name": "n", "rate_limit": 5.0},
        {"client_id": "a", "name": "n", "rate_limit": True},
        {"client_id": "a", "name": "n", "expires_at": 4102444800},
        {"client_id": "a", "name": "n", "expires_at": "4102444800"},
        {"client_id": "a", "name": "n", "scopes": []},
        {"client_id": "a", "name": "n", "scopes": ["root"]},
        {"client_id": "a", "name": "n", "expires_at": "2020-01-01T00:00:00Z"},
        {"client_id": "a", "name": "n", "expires_at": "2099-01-01T00:00:00"},
        {"client_id": "a", "name": "n", "expires_at": "9999-12-31T23:59:59-23:59"},
        {"client_id": "a", "name": "n", "x" * 30_000: 1},
        [1],
        "text",
        None,
    ],
)
def test_a_key_with_a_bad_field_is_not_made(gateway: GatewayUnderTest, body: Any) -> None:
    assert refusal(gateway.manage("POST", json=body)) == (422, "invalid-request")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"is_active": None},
        {"is_active": "no"},
        {"is_active": 0},
        {"name": None},
        {"client_id": "other"},
        {"rate_limit": 1.5},
        {"rate_limit": False},
        {"expires_at": 4102444800000},
    ],
)
def test_a_bad_change_changes_nothing(gateway: GatewayUnderTest, body: Any) -> None:
    made = make(gateway, client_id="unchanged")
    assert refusal(gateway.manage("PATCH", made["public_id"], json=body)) == (422, "invalid-request")
    gateway.manage("DELETE", made["public_id"])


@pytest.mark.parametrize("client_id", ["", "a b", "a\0", "=1+1", "x" * 129])
def test_keys_are_not_listed_for_a_client_that_cannot_be(gateway: GatewayUnderTest, client_id: str) -> None:
    assert refusal(gateway.manage("GET", params={"client_id": client_id})) == (422, "invalid-request")


def test_a_name_with_a_lone_surrogate_is_refused(gateway: GatewayUnderTest) -> None:
    answer = gateway.manage(
        "POST", content=b'{"client_id":"a","name":"\\ud800"}', headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in (400, 422)
    refusal(answer)


def test_known_keys_work_on_while_postgresql_is_down_and_redis_outages_are_503(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("outages")
    with EmbeddedPostgres(folder / "pg") as postgres, EmbeddedRedis(folder / "redis") as streams:
        migrate(postgres.url)
        with running_gateway(
            folder, postgres.url, streams.url, WEIR_KEY_CACHE_SECONDS="0.2", WEIR_REDIS_TIMEOUT_MS="500"
        ) as gateway:
            unseen = gateway.make_key("unseen", Scope.INGEST)
            assert works(gateway, gateway.key)
            gateway.manage("GET")  # so that the admin's key is known too
            _redis_goes_and_comes_back(gateway, streams)
            _postgresql_goes_and_comes_back(gateway, postgres, unseen)


def _redis_goes_and_comes_back(gateway: GatewayUnderTest, streams: EmbeddedRedis) -> None:
    streams.kill()
    event = new_event()
    assert refusal(gateway.ingest(event)) == (503, "unavailable")
    assert refusal(gateway.manage("GET")) == (503, "unavailable")
    assert refusal(gateway.ingest(new_event(), key=None)) == (503, "unavailable"), "no answer without an audit record"
    ready = gateway.http.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
    assert ready.json()["redis"].startswith("down")
    assert gateway.http.get("/healthz").status_code == 200
    streams.restart()
    assert gateway.ingest(event).status_code == 202
    with redis.Redis.from_url(streams.url) as client:
        client.config_set("maxmemory", "1")
        assert refusal(gateway.batch([new_event()])) == (503, "backlog-full")
        client.config_set("maxmemory", "0")
    assert gateway.batch([new_event()]).status_code == 202


def _postgresql_goes_and_comes_back(gateway: GatewayUnderTest, postgres: EmbeddedPostgres, unseen: str) -> None:
    postgres.kill()
    waits = []
    while sum(waits) < 4:  # well beyond the time a key is cached
        began = time.monotonic()
        assert works(gateway, gateway.key)
        waits.append(time.monotonic() - began)
    assert sum(wait > 0.5 for wait in waits) <= 1, "one look-up fails slowly, then all know"
    assert refusal(gateway.ingest(new_event(), key=unseen)) == (503, "unavailable")
    assert refusal(gateway.manage("POST", json={"client_id": "a", "name": "b"})) == (503, "unavailable")
    ready = gateway.http.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    postgres.restart()
    eventually(lambda: works(gateway, unseen), within_seconds=15, what="unknown keys are looked up again")


def test_no_secret_is_ever_logged(gateway: GatewayUnderTest) -> None:
    made = make(gateway)
    gateway.ingest(new_event(), key=made["key"])
    gateway.post(BATCH, b"\xff" + made["key"].encode(), key=made["key"])
    gateway.call("GET", INGEST, key=made["key"], params={"key": made["key"]})
    with gateway.connection() as sock:
        sock.sendall(f"GET / HTTP/9.9\r\nX-API-Key: {made['key']}\r\n\r\n".encode())
        sock.recv(10_000)
    with psycopg.connect(gateway.database_url) as connection:
        password = connection.info.password
    logs = gateway.service.logs()
    for secret in (made["key"], made["key"].split("_")[2], gateway.admin, password, "the pepper of the tests"):
        assert secret not in logs


def test_two_keys_of_one_client_have_limits_of_their_own(gateway: GatewayUnderTest) -> None:
    one, other = (gateway.make_key("twice", Scope.INGEST, rate_limit=1) for _ in range(2))
    answers: list[httpx2.Response] = [gateway.ingest(new_event(), key=key) for key in (one, other, one, other)]
    assert [answer.status_code for answer in answers] == [202, 202, 429, 429]
