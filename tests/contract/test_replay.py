"""`POST /api/v1/failed-events/replay` as administrators meet it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from shared.api_keys import Scope
from shared.redis_keys import ShardKeys
from shared.stream_entry import decode_blocks
from tests.analytics_seed import seed_failed
from tests.gateway_process import GatewayUnderTest, refusal
from tests.pipeline import execute, rows
from tests.publishing import audit_entries

PATH = "/api/v1/failed-events/replay"
EVENTS = ShardKeys(0).events


@pytest.fixture(autouse=True)
def _nothing_failed(gateway: GatewayUnderTest) -> Iterator[None]:
    execute(gateway.database_url, "TRUNCATE failed_events")
    with redis.Redis.from_url(gateway.redis_url) as client:
        client.delete(EVENTS.stream)
    yield


def replay(gateway: GatewayUnderTest, **wanted: Any) -> Any:
    answer = gateway.call("POST", PATH, key=gateway.admin, json=wanted)
    assert answer.status_code == 202, answer.text
    return answer.json()


def put_back(gateway: GatewayUnderTest) -> list[tuple[str, str, bytes]]:
    with redis.Redis.from_url(gateway.redis_url) as client:
        entries: Any = client.xrange(EVENTS.stream)
    blocks = [block for _, fields in entries for block in decode_blocks(fields[b"e"])]
    assert all(block.replayed for block in blocks)
    return sorted((block.client_id, frame.event_id, frame.payload) for block in blocks for frame in block.events)


def failed_ids(gateway: GatewayUnderTest) -> dict[str, int]:
    return dict(rows(gateway.database_url, "SELECT event_id, id FROM failed_events"))


def test_events_of_all_clients_are_put_back_and_stay_failed_until_they_are_stored(gateway: GatewayUnderTest) -> None:
    seed_failed(gateway.database_url, event_id="a")
    seed_failed(gateway.database_url, event_id="b", client_id="other", payload=b"\xff")
    assert replay(gateway) == {"matched": 2, "replayed": 2, "refused": []}
    assert put_back(gateway) == [("acme", "a", b'{"a": 1}'), ("other", "b", b"\xff")]
    assert len(failed_ids(gateway)) == 2
    answer = replay(gateway)
    assert answer["replayed"] == 0
    assert {one["detail"] for one in answer["refused"]} == {"it is being replayed: wait for what becomes of it"}


def test_more_than_a_page_is_put_back_whole(gateway: GatewayUnderTest) -> None:
    for place in range(130):
        seed_failed(gateway.database_url, event_id=f"e{place}")
    assert replay(gateway, limit=120)["replayed"] == 120
    assert len(put_back(gateway)) == 120


def test_filters_and_ids_choose(gateway: GatewayUnderTest) -> None:
    now = datetime.now(UTC)
    seed_failed(gateway.database_url, event_id="a", event_type="user.left")
    seed_failed(gateway.database_url, event_id="b", reason="enricher_failed")
    seed_failed(gateway.database_url, event_id="c", client_id="other")
    seed_failed(gateway.database_url, event_id="d", last_failed_at=now - timedelta(days=3))
    ids = failed_ids(gateway)

    def matched(**wanted: Any) -> int:
        return int(replay(gateway, dry_run=True, **wanted)["matched"])

    assert matched() == 4
    assert matched(event_type="user.left") == 1
    assert matched(reason="enricher_failed") == 1
    assert matched(client_id="other", reason=None) == 1
    assert matched(to=(now - timedelta(days=2)).isoformat()) == 1
    assert matched(**{"from": (now - timedelta(days=2)).isoformat()}) == 3
    assert matched(ids=[ids["a"], ids["d"], 2**62]) == 2
    assert put_back(gateway) == []
    assert replay(gateway, ids=[ids["b"]])["replayed"] == 1
    assert [event_id for _, event_id, _ in put_back(gateway)] == ["b"]


def test_what_keeps_failing_in_the_same_way_must_be_forced(gateway: GatewayUnderTest) -> None:
    seed_failed(gateway.database_url, event_id="a", same_kind_failures=3)
    answer = replay(gateway)
    assert (answer["matched"], answer["replayed"]) == (1, 0)
    assert answer["refused"][0]["id"] == failed_ids(gateway)["a"]
    assert replay(gateway, force=True)["replayed"] == 1


@pytest.mark.parametrize(
    "wanted",
    [
        {"client": "acme"},
        {"client_id": ""},
        {"client_id": "a\x00"},
        {"ids": []},
        {"ids": [2**64]},
        {"ids": ["x"]},
        {"limit": 0},
        {"from": "yesterday"},
        {"from": "2026-01-01T00:00:00"},
        {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
        {"dry_run": "perhaps"},
        {"dry_run": "no"},
        {"dry_run": 0},
        {"force": "1"},
        {"limit": "5"},
        {"limit": True},
        {"ids": ["1"]},
        {"from": 1767225600},
        [],
        None,
    ],
)
def test_what_cannot_be_meant_is_refused(gateway: GatewayUnderTest, wanted: Any) -> None:
    answer = gateway.call("POST", PATH, key=gateway.admin, json=wanted)
    assert refusal(answer) == (422, "invalid-request")


def test_only_administrators_may(gateway: GatewayUnderTest) -> None:
    seed_failed(gateway.database_url, event_id="a")
    assert refusal(gateway.call("POST", PATH, json={}, key=None)) == (401, "unauthenticated")
    assert refusal(gateway.call("POST", PATH, json={})) == (403, "forbidden")
    reader = gateway.make_key("acme", Scope.READ, Scope.INGEST)
    assert refusal(gateway.call("POST", PATH, json={}, key=reader)) == (403, "forbidden")
    assert put_back(gateway) == []


def test_the_call_is_documented_and_audited(gateway: GatewayUnderTest) -> None:
    assert "post" in gateway.http.get("/openapi.json").json()["paths"][PATH]
    answer = gateway.call("POST", PATH, key=gateway.admin, json={"dry_run": True})
    with redis.Redis.from_url(gateway.redis_url) as client:
        (record,) = [
            one
            for records in audit_entries(client)
            for one in records
            if one.request_id == answer.headers["x-request-id"]
        ]
    assert (record.endpoint, record.status, record.client_id) == (PATH, 202, "operators")


def test_no_limit_of_the_client_counts_a_replay_and_no_early_filter_stops_it(gateway: GatewayUnderTest) -> None:
    sent = gateway.ingest({"event_id": "once", "event_type": "t", "payload": {}})
    assert sent.json()["status"] == "accepted"
    seed_failed(gateway.database_url, event_id="once")
    assert replay(gateway)["replayed"] == 1
    with redis.Redis.from_url(gateway.redis_url) as client:
        assert client.xlen(EVENTS.stream) == 2


def test_postgresql_role_of_the_gateway_may_mark_and_no_more(gateway: GatewayUnderTest) -> None:
    granted = rows(
        gateway.database_url,
        "SELECT DISTINCT privilege_type, column_name::text FROM information_schema.column_privileges "
        "WHERE grantee = 'weir_keys' AND table_name = 'failed_events' AND privilege_type <> 'SELECT' ORDER BY 2",
    )
    assert granted == [("UPDATE", "replayed_at"), ("UPDATE", "replays"), ("UPDATE", "retries")]
