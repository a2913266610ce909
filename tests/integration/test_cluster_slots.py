"""A server in cluster mode refuses every call and every transaction whose keys lie in more than one slot: none does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import ResponseError

from deploy.embedded.redis_server import EmbeddedRedis
from deploy.fleet.flow_line import read_totals
from shared.api_keys import Scope
from shared.redis_keys import ShardKeys, shard_of
from shared.shards_in_use import shards_beyond
from shared.stream_entry import Block, EventFrame
from shared.stream_status import read_stream_status
from tests.analytics_process import running_analytics
from tests.gateway_process import new_event, running_gateway
from tests.pipeline import processing, stored_ids
from tests.waiting import eventually

SHARDS = 3
CLIENTS = ("client-0", "client-1", "client-2", "client-3", "client-4", "client-5")
SLOW_SECONDS = 60.0


@pytest.fixture(scope="module")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server in cluster mode that has all slots: it answers for every key, and checks the slots all the same."""
    with EmbeddedRedis(tmp_path_factory.mktemp("cluster"), extra_config={"cluster-enabled": "yes"}) as server:
        with redis.Redis.from_url(server.url) as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            eventually(lambda: b"cluster_state:ok" in _info(client), within_seconds=SLOW_SECONDS)
        yield server.url


def _info(client: Any) -> bytes:
    info = client.execute_command("CLUSTER", "INFO")
    return info if isinstance(info, bytes) else str(info).replace("'cluster_state': 'ok'", "cluster_state:ok").encode()


@pytest.mark.timeout(400)
def test_no_call_of_any_part_leaves_its_slot(cluster_url: str, database_url: str, tmp_path: Path) -> None:
    client: Any = redis.Redis.from_url(cluster_url)
    with pytest.raises(ResponseError, match="same slot"):  # the server does check
        client.exists(ShardKeys(0).accepted, ShardKeys(1).accepted)
    assert {shard_of(one, SHARDS) for one in CLIENTS} == set(range(SHARDS))
    shards = {"WEIR_STREAM_SHARDS": str(SHARDS)}
    with (
        running_gateway(tmp_path, database_url, cluster_url, **shards) as gateway,
        running_analytics(tmp_path, database_url, cluster_url, **shards) as analytics,
        processing(cluster_url, database_url, [refuse_some], shards=SHARDS) as processor,
    ):
        keys = {one: gateway.make_key(one, Scope.INGEST) for one in CLIENTS}
        for one, key in keys.items():
            headers = {"Prefer": "wait=30"}
            assert gateway.ingest(new_event(event_id=f"stored-{one}"), key=key, headers=headers).status_code == 200
            assert gateway.ingest(new_event(event_id=f"refused-{one}"), key=key).status_code == 202
        eventually(lambda: _failed(gateway, analytics.port) == len(CLIENTS), within_seconds=SLOW_SECONDS)
        replayed = gateway.call("POST", "/api/v1/failed-events/replay", key=gateway.admin, json={})
        assert replayed.status_code == 202, replayed.text
        eventually(lambda: _waiting(client) == 0, within_seconds=SLOW_SECONDS, what="all streams are drained")
        assert processor.running
        unknown = gateway.http.get(
            f"http://127.0.0.1:{analytics.port}/api/v1/events/unknown",
            params={"client_id": CLIENTS[0]}, headers={"X-API-Key": gateway.admin},
        )  # fmt: skip
        assert unknown.status_code == 404
        assert shards_beyond(client, SHARDS) == []
        assert read_totals(client, SHARDS)
        assert "CROSSSLOT" not in gateway.service.logs() + analytics.service.logs()
    assert stored_ids(database_url) == sorted(f"stored-{one}" for one in CLIENTS)
    client.close()


def refuse_some(_: Block, frame: EventFrame) -> dict[str, Any]:
    """An enricher that fails for some events."""
    if frame.event_id.startswith("refused"):
        raise ValueError("refused")
    return {}


def _failed(gateway: Any, port: int) -> int:
    address = f"http://127.0.0.1:{port}/api/v1/analytics/queue-status"
    return int(gateway.http.get(address, headers={"X-API-Key": gateway.admin}).json()["failed"])


def _waiting(client: Any) -> int:
    return sum(stream.length for stream in read_stream_status(client, SHARDS))
