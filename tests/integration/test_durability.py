"""What a 202 waits for, on every supported server: the level is reached, or the caller is told that nobody knows."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from deploy.connections import async_redis
from deploy.embedded.redis_server import EmbeddedRedis
from ingest_gateway.durability import FsyncPolicy, Level, level_in_force, read_fsync_policy
from shared.errors import SettingsError
from shared.problems import Problem
from tests.gateway_process import new_event, refusal, running_gateway
from tests.publishing import event, kept_ids, publish, request
from tests.servers import EmbeddedUnderTest
from tests.waiting import eventually


@pytest.fixture
def client(any_redis: EmbeddedUnderTest) -> Iterator[Any]:
    with redis.Redis.from_url(any_redis.url) as connected:
        yield connected
        connected.config_set("appendfsync", "everysec")
        connected.config_set("appendonly", "yes")


def policy(url: str) -> FsyncPolicy:
    async def read() -> FsyncPolicy:
        async with async_redis(url, 2) as asyncio_client:
            return await read_fsync_policy(asyncio_client)

    return asyncio.run(read())


def knows_waitaof(client: Any) -> bool:
    try:
        client.execute_command("WAITAOF", 0, 0, 1)
    except redis.ResponseError:
        return False
    return True


def test_the_servers_policy_is_read(client: Any, any_redis: EmbeddedUnderTest) -> None:
    assert policy(any_redis.url) == FsyncPolicy("yes", "everysec", knows_waitaof(client))
    client.config_set("appendfsync", "always")
    assert policy(any_redis.url).waits_for_disk


@pytest.mark.parametrize(
    ("level", "told", "in_force"),
    [
        ("server", FsyncPolicy("no", "no", False), "server"),
        ("replica", FsyncPolicy("no", "no", False), "replica"),
        ("fsync", FsyncPolicy("yes", "everysec", True), "fsync"),
        ("fsync", FsyncPolicy("yes", "always", True), "fsync"),
        ("fsync", FsyncPolicy(None, None, True), "fsync"),
        ("fsync", FsyncPolicy("yes", "always", False), "server"),
        ("fsync", FsyncPolicy("yes", "everysec", False), None),
        ("fsync", FsyncPolicy(None, None, False), None),
        ("fsync", FsyncPolicy("no", "always", True), None),
    ],
)
def test_a_level_the_server_can_never_reach_is_refused(level: Level, told: FsyncPolicy, in_force: str | None) -> None:
    if in_force is None:
        with pytest.raises(SettingsError, match=r"append"):
            level_in_force(level, told)
    else:
        assert level_in_force(level, told) == in_force


def test_fsync_waits_for_the_disk(client: Any, any_redis: EmbeddedUnderTest) -> None:
    if not knows_waitaof(client):
        pytest.skip("this server has no WAITAOF")
    client.function_flush()
    [told] = publish(any_redis.url, request(event("a")), durability="fsync")
    assert told.result.kept == 1
    assert client.info("persistence")["aof_pending_bio_fsync"] == 0
    client.config_set("appendonly", "no")
    with pytest.raises(Problem, match="unknown"):
        publish(any_redis.url, request(event("b")), durability="fsync")


def test_a_replica_that_is_not_there_is_unknown_and_the_repeat_is_a_duplicate(
    client: Any, any_redis: EmbeddedUnderTest
) -> None:
    with pytest.raises(Problem, match="send the same ids again") as refused:
        publish(any_redis.url, request(event("a")), durability="replica", redis_timeout_ms=100)
    assert refused.value.type == "unavailable"
    assert kept_ids(client) == ["a"]
    [told] = publish(any_redis.url, request(event("a")))
    assert (told.result.kept, len(told.result.duplicates)) == (0, 1)


def test_a_replica_that_follows_is_waited_for(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "first", extra_config={"repl-diskless-sync-delay": "0"}) as first:
        follows = {"replicaof": f"127.0.0.1 {first.port}", "masterauth": str(urlsplit(first.url).password)}
        with (
            EmbeddedRedis(tmp_path / "replica", extra_config=follows) as replica,
            redis.Redis.from_url(replica.url) as client,
        ):
            eventually(lambda: client.info("replication")["master_link_status"] == "up", within_seconds=30)
            [told] = publish(first.url, request(event("a")), durability="replica")
            assert told.result.kept == 1
            assert kept_ids(client) == ["a"]


def test_the_gateway_says_which_level_and_policy_are_in_force(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    with running_gateway(tmp_path, database_url, redis_url, WEIR_DURABILITY="fsync") as gateway:
        assert gateway.ingest(new_event()).status_code == 202
        told = gateway.http.get("/readyz").json()["durability"]
        assert told == {"level": "fsync", "appendonly": "yes", "appendfsync": "everysec"}


def test_a_gateway_without_a_replica_answers_503(tmp_path: Path, database_url: str, redis_url: str) -> None:
    settings = {"WEIR_DURABILITY": "replica", "WEIR_REDIS_TIMEOUT_MS": "200"}
    with running_gateway(tmp_path, database_url, redis_url, **settings) as gateway:
        answer = gateway.ingest(new_event())
        assert refusal(answer) == (503, "unavailable")
        assert "unknown" in answer.json()["detail"]


def test_a_gateway_that_cannot_reach_its_level_does_not_start(tmp_path: Path, database_url: str) -> None:
    with (
        EmbeddedRedis(tmp_path / "redis", extra_config={"appendonly": "no"}) as server,
        pytest.raises(AssertionError, match="WEIR_DURABILITY is fsync"),
        running_gateway(tmp_path, database_url, server.url, WEIR_DURABILITY="fsync"),
    ):
        pass
