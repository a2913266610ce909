"""Three shards on three primaries of a real Redis Cluster: all parts work, and go on when nodes die or slots move."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2
import pytest

from deploy.cli import run
from deploy.connections import sync_redis
from shared.api_keys import Scope
from shared.redis_keys import shard_of
from shared.stream_status import read_stream_status
from tests.analytics_process import running_analytics
from tests.gateway_process import SECRET_KEY, GatewayUnderTest, ServiceProcess, new_event, refusal, running_gateway
from tests.no_settings import forget_settings
from tests.pipeline import assert_rollups_equal_recounts, execute, intake, processing, stored_ids
from tests.redis_cluster import SHARDS, ClusterUnderTest, redis_cluster, tell
from tests.steady_producer import BATCH_EVENTS, SteadyProducer, producing
from tests.waiting import eventually

CLIENTS = {0: "client-1", 1: "client-0", 2: "client-3"}
"""A client of each shard."""
SETTINGS = {"WEIR_STREAM_SHARDS": str(SHARDS)}
SLOW_SECONDS = 60.0

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterUnderTest]:
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def cluster(_cluster: ClusterUnderTest) -> ClusterUnderTest:
    """Whole, and empty."""
    _cluster.make_whole()
    _cluster.empty()
    return _cluster


@pytest.fixture
def weir(
    cluster: ClusterUnderTest, database_url: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> Any:  # fmt: skip
    """Runs a command with --json; returns what it printed."""
    forget_settings(monkeypatch, tmp_path)
    for name, setting in {"DATABASE_URL": database_url, "REDIS_URL": cluster.url, **SETTINGS}.items():
        monkeypatch.setenv(name, setting)

    def ask(*arguments: str, options: tuple[str, ...] = ("--json",)) -> Any:
        assert run([*arguments, *options]) == 0, capsys.readouterr().err
        printed = capsys.readouterr().out
        return json.loads(printed) if options else printed

    return ask


def keys_of(gateway: GatewayUnderTest) -> dict[str, str]:
    return {client_id: gateway.make_key(client_id, Scope.INGEST) for client_id in CLIENTS.values()}


def waiting(cluster: ClusterUnderTest) -> int:
    with sync_redis(cluster.url, 4) as client:
        return sum(stream.length for stream in read_stream_status(client, SHARDS))


def wait_until_drained(cluster: ClusterUnderTest) -> None:
    eventually(lambda: waiting(cluster) == 0, within_seconds=SLOW_SECONDS, what="all streams are drained")


def assert_stored_once(database_url: str, producers: dict[str, SteadyProducer]) -> None:
    """What was accepted, and of each producer at most the batch that was under way when it stopped beside."""
    found = stored_ids(database_url)
    accepted = {one for producer in producers.values() for one in producer.accepted}
    assert len(found) == len(set(found)) == intake(database_url)["stored"]
    assert accepted <= set(found)
    assert len(set(found) - accepted) <= BATCH_EVENTS * len(producers)
    assert_rollups_equal_recounts(database_url)


def test_each_shard_of_the_tests_has_a_client_and_a_primary_of_its_own(cluster: ClusterUnderTest) -> None:
    assert {shard: shard_of(client_id, SHARDS) for shard, client_id in CLIENTS.items()} == {0: 0, 1: 1, 2: 2}
    assert len({cluster.primary(shard).port for shard in CLIENTS}) == SHARDS


def test_every_part_and_every_command_works_on_a_cluster(
    cluster: ClusterUnderTest, weir: Any, database_url: str, tmp_path: Path
) -> None:
    execute(database_url, "UPDATE schema_migrations SET applied_at = applied_at - interval '1 day'")  # for reconcile
    urls = {"DATABASE_URL": database_url, "REDIS_URL": cluster.url, "SECRET_KEY": SECRET_KEY, **SETTINGS}
    fleet = {"WEIR_PROCESSORS": "1", "WEIR_ENRICHERS": "tests.refusing_enricher:refuse_some"}
    with (
        running(["processors", "supervise"], tmp_path, urls | fleet) as supervisor,
        running(["tail", "--json"], tmp_path, urls) as tail,
        running_gateway(tmp_path, database_url, cluster.url, **SETTINGS) as gateway,
        running_analytics(tmp_path, database_url, cluster.url, **SETTINGS) as analytics,
        httpx2.Client(base_url=f"http://127.0.0.1:{analytics.port}", headers={"X-API-Key": gateway.admin}) as api,
        live_tail(api) as live,
    ):
        keys = keys_of(gateway)
        accepted = []

        def both_tails_show_all_shards() -> bool:
            for key in keys.values():
                one = new_event()
                answer = gateway.ingest(one, key=key, headers={"Prefer": "wait=30"})
                assert answer.status_code == 200, answer.text
                assert gateway.ingest(one, key=key).json()["status"] == "duplicate"
                accepted.append(one["event_id"])
            return all(client_id in tail.logs() and client_id in live for client_id in keys)

        eventually(both_tails_show_all_shards, within_seconds=SLOW_SECONDS, what="both tails show all shards")
        weir("processors", "scale", "2", options=())
        eventually(lambda: processors(weir) == 2, within_seconds=SLOW_SECONDS, what="two processors run")
        assert len(weir("processors", "pause")) == 3 * SHARDS
        refused = []

        def all_shards_hold_events() -> bool:  # a read that was under way when they were held still takes some
            for client_id, key in keys.items():
                refused.append((client_id, f"refused-{client_id}-{len(refused)}"))
                assert gateway.ingest(new_event(event_id=refused[-1][1]), key=key).status_code == 202
            return all(one["length"] for one in weir("streams") if one["name"] == "events")

        eventually(all_shards_hold_events, within_seconds=SLOW_SECONDS, what="all shards hold events")
        assert trace(api, *refused[-1]) == 200
        assert len(weir("processors", "resume")) == 3 * SHARDS
        eventually(lambda: failed(api) == len(refused), within_seconds=SLOW_SECONDS)
        assert {(one["client_id"], one["event_id"]) for one in weir("failed", "list")} == set(refused)
        weir("failed", "replay", "--yes")
        wait_until_drained(cluster)
        assert trace(api, CLIENTS[2], "unknown") == 404
        assert weir("top", "--once")["unavailable"] == []
        assert [one["level"] for one in weir("doctor") if one["name"] == "redis"] == ["ok"]
        found = weir("reconcile")
        assert found["agrees"], found
        balance = {name: found["balance"][name] for name in ("accepted", "stored", "duplicates", "failed", "in_flight")}
        assert balance == {
            "accepted": len(accepted) + len(refused), "stored": len(accepted), "duplicates": 0,
            "failed": len(refused), "in_flight": 0,
        }  # fmt: skip
        logs = "".join(one.logs() for one in (gateway.service, analytics.service, supervisor, tail))
        assert "CROSSSLOT" not in logs
        assert "MOVED" not in logs
    assert stored_ids(database_url) == sorted(accepted)


def test_primaries_that_die_or_hang_under_load_cost_nothing_that_a_replica_acknowledged(
    cluster: ClusterUnderTest, database_url: str, tmp_path: Path
) -> None:
    settings = {"WEIR_DURABILITY": "replica", **SETTINGS}
    with (
        running_gateway(tmp_path, database_url, cluster.url, **settings) as gateway,
        processing(cluster.url, database_url, shards=SHARDS, claim_idle_seconds=2) as processor,
    ):
        with producing(gateway, keys_of(gateway)) as producers:
            for shard, lose in ((0, cluster.kill), (1, cluster.freeze)):  # shard 0 has what is no shard's too
                for producer in producers.values():
                    producer.has_more()
                heir = cluster.replica(shard)
                lose(cluster.primary(shard))
                producers[CLIENTS[shard]].is_answered(503)
                for producer in producers.values():
                    if producer is not producers[CLIENTS[shard]]:
                        producer.has_more()
                assert gateway.http.get("/readyz").status_code == 200
                cluster.await_primary(shard, heir)
                cluster.make_whole()  # a 202 wants a replica, and there is none until the lost one is back as one
            for producer in producers.values():
                producer.has_more()
        assert processor.running
        wait_until_drained(cluster)
    assert_stored_once(database_url, producers)


def test_shards_that_change_their_node_under_load_are_followed(
    cluster: ClusterUnderTest, database_url: str, tmp_path: Path
) -> None:
    home, other = cluster.primary(2), cluster.primary(0)
    with (
        running_gateway(tmp_path, database_url, cluster.url, **SETTINGS) as gateway,
        processing(cluster.url, database_url, shards=SHARDS) as processor,
    ):
        with producing(gateway, keys_of(gateway)) as producers:
            for change in (
                lambda: cluster.switch(1),
                lambda: cluster.move_slot(2, other),
                lambda: cluster.move_slot(2, home),
            ):
                change()
                for producer in producers.values():
                    producer.has_more()
        wait_until_drained(cluster)
        assert processor.running
    assert_stored_once(database_url, producers)


def test_what_is_started_while_a_node_is_down_serves_the_others_and_waits_for_it(
    cluster: ClusterUnderTest, database_url: str, tmp_path: Path
) -> None:
    down = [cluster.replica(1), cluster.primary(1)]
    for node in down:
        node.kill()
    urls = {"DATABASE_URL": database_url, "REDIS_URL": cluster.url, **SETTINGS}
    with (
        running(["processor", "run"], tmp_path, urls) as processor,
        running_gateway(tmp_path, database_url, cluster.url, WEIR_DURABILITY="fsync", **SETTINGS) as gateway,
        running_analytics(tmp_path, database_url, cluster.url, **SETTINGS) as analytics,
    ):
        keys = keys_of(gateway)
        assert gateway.http.get("/readyz").json()["redis"].startswith("shard 1 down: ")
        assert refusal(gateway.ingest(new_event(), key=keys[CLIENTS[1]])) == (503, "unavailable")
        for shard in (0, 2):
            answer = gateway.ingest(new_event(), key=keys[CLIENTS[shard]], headers={"Prefer": "wait=30"})
            assert answer.status_code == 200, answer.text
        for node in reversed(down):
            node.start()
        eventually(
            lambda: gateway.ingest(new_event(), key=keys[CLIENTS[1]]).status_code == 202, within_seconds=SLOW_SECONDS
        )
        answer = gateway.ingest(new_event(), key=keys[CLIENTS[1]], headers={"Prefer": "wait=30"})
        assert answer.status_code == 200, answer.text
        assert httpx2.get(f"http://127.0.0.1:{analytics.port}/readyz").json()["redis"] == "ok"
        assert processor.process.poll() is None
        wait_until_drained(cluster)


def test_a_node_that_is_full_or_has_lost_its_functions_concerns_its_own_shards_alone(
    cluster: ClusterUnderTest, database_url: str, tmp_path: Path
) -> None:
    with (
        running_gateway(tmp_path, database_url, cluster.url, **SETTINGS) as gateway,
        processing(cluster.url, database_url, shards=SHARDS) as processor,
    ):
        keys = keys_of(gateway)

        def post(shard: int) -> httpx2.Response:
            return gateway.ingest(new_event(), key=keys[CLIENTS[shard]])

        assert [post(shard).status_code for shard in range(SHARDS)] == [202, 202, 202]
        for shard in range(SHARDS):
            cluster.forget_functions(shard)
        assert [post(shard).status_code for shard in range(SHARDS)] == [202, 202, 202]
        tell(cluster.primary(1), "CONFIG", "SET", "maxmemory", "1mb")
        try:
            eventually(lambda: refusal(post(1)) == (503, "backlog-full") if post(1).status_code != 202 else False)
            eventually(lambda: "weir_gateway_redis_memory_limit_bytes 943718" in gateway.http.get("/metrics").text)
            assert [post(shard).status_code for shard in (0, 2)] == [202, 202]
        finally:
            tell(cluster.primary(1), "CONFIG", "SET", "maxmemory", "0")
        eventually(lambda: post(1).status_code == 202, within_seconds=SLOW_SECONDS)
        wait_until_drained(cluster)
        assert processor.running


@contextmanager
def running(arguments: list[str], folder: Path, environment: dict[str, str]) -> Iterator[ServiceProcess]:
    process = ServiceProcess(arguments, folder, environment)
    try:
        yield process
    finally:
        process.stop()


@contextmanager
def live_tail(api: httpx2.Client) -> Iterator[set[str]]:
    """The clients whose events were shown so far."""
    seen: set[str] = set()

    def read() -> None:
        with suppress(httpx2.HTTPError), api.stream("GET", "/api/v1/live/events", timeout=None) as answer:
            for line in answer.iter_lines():
                if line.startswith("data: ") and "client_id" in line:
                    seen.add(json.loads(line.removeprefix("data: "))["client_id"])

    Thread(target=read, daemon=True).start()
    yield seen


def processors(weir: Any, state: str = "running") -> int:
    return sum(one["state"] == state for one in weir("processors", "status"))


def failed(api: httpx2.Client) -> int:
    return int(api.get("/api/v1/analytics/queue-status").json()["failed"])


def trace(api: httpx2.Client, client_id: str, event_id: str) -> int:
    return api.get(f"/api/v1/events/{event_id}", params={"client_id": client_id}).status_code
