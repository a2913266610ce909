"""Redis fails over to a replica under load, as Sentinel makes it: what a replica acknowledged is stored, once."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import redis

from deploy.embedded.redis_server import EmbeddedRedis
from deploy.embedded.secret_file import write_private
from tests.fault_proxy import FaultProxy
from tests.gateway_process import GatewayUnderTest, new_event, refusal, running_gateway
from tests.pipeline import assert_rollups_equal_recounts, intake, processing, stored_ids, wait_until_drained
from tests.waiting import eventually

BATCH_EVENTS = 10
SLOW_SECONDS = 60.0


class Replicated:
    """A primary with two replicas, and one address that leads to the primary of the moment."""

    def __init__(self, primary: EmbeddedRedis, replicas: list[EmbeddedRedis], address: FaultProxy) -> None:
        self.primary = primary
        self.replicas = replicas
        self.address = address

    def fail_over(self) -> None:
        """The primary dies; the replica that heard most of it takes over, and the other follows that one."""
        self.primary.kill()
        heir, other = sorted(self.replicas, key=_offset, reverse=True)
        _tell(heir, "REPLICAOF", "NO", "ONE")
        _tell(other, "REPLICAOF", "127.0.0.1", heir.port)
        self.address.lead_to(heir.url)


def _tell(server: EmbeddedRedis, *command: str | int) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.execute_command(*command)


def _replication(server: EmbeddedRedis) -> Any:
    with redis.Redis.from_url(server.url) as client:
        return client.info("replication")


def _offset(server: EmbeddedRedis) -> int:
    return int(_replication(server)["slave_repl_offset"])


@pytest.fixture
def replicated(tmp_path: Path) -> Iterator[Replicated]:
    folders = [tmp_path / name for name in ("primary", "replica-1", "replica-2")]
    for folder in folders:
        folder.mkdir()
        write_private(folder / "password", "one-password-for-all-three")
    with EmbeddedRedis(folders[0]) as primary:
        follows = {"replicaof": f"127.0.0.1 {primary.port}", "masterauth": str(urlsplit(primary.url).password)}
        with (
            EmbeddedRedis(folders[1], extra_config=follows) as first,
            EmbeddedRedis(folders[2], extra_config=follows) as second,
            FaultProxy(primary.url) as address,
        ):
            for replica in (first, second):
                eventually(lambda one=replica: _replication(one)["master_link_status"] == "up", within_seconds=30)
            _tell(primary, "CONFIG", "SET", "masterauth", str(urlsplit(primary.url).password))
            yield Replicated(primary, [first, second], address)


class Producer:
    """Posts batch after batch, each with the same ids until it is accepted."""

    def __init__(self, gateway: GatewayUnderTest) -> None:
        self.accepted: list[str] = []
        self.refused = 0
        self._gateway = gateway
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def has_more(self, events: int = 10 * BATCH_EVENTS) -> None:
        wanted = len(self.accepted) + events
        eventually(lambda: len(self.accepted) >= wanted, within_seconds=SLOW_SECONDS, what="events flow")

    @contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            self._thread.join(30)
            assert not self._thread.is_alive()

    def _run(self) -> None:
        for number in itertools.count():
            ids = [f"{number}-{place}" for place in range(BATCH_EVENTS)]
            while not self._is_accepted(ids):
                self.refused += 1
                if self._stopping.wait(0.1):
                    return
            self.accepted += ids
            if self._stopping.wait(0.005):
                return

    def _is_accepted(self, ids: list[str]) -> bool:
        try:
            return self._gateway.batch([new_event(event_id=one) for one in ids]).status_code == 202
        except httpx2.HTTPError:
            return False


@pytest.mark.timeout(400)
def test_a_failover_under_load_loses_nothing_that_a_replica_acknowledged(
    replicated: Replicated, database_url: str, tmp_path: Path
) -> None:
    address = replicated.address.url
    with (
        running_gateway(tmp_path, database_url, address, WEIR_DURABILITY="replica") as gateway,
        processing(address, database_url, claim_idle_seconds=2) as processor,
    ):
        producer = Producer(gateway)
        with producer.running():
            producer.has_more()
            replicated.fail_over()
            producer.has_more()
        with redis.Redis.from_url(address) as client:
            wait_until_drained(client, within_seconds=SLOW_SECONDS)
        assert processor.running
    found = stored_ids(database_url)
    assert len(found) == len(set(found)) == intake(database_url)["stored"]
    assert set(producer.accepted) <= set(found)
    # At most the one batch that was under way when the producer stopped is stored without an answer.
    assert len(set(found) - set(producer.accepted)) <= BATCH_EVENTS
    assert_rollups_equal_recounts(database_url)


def test_a_primary_without_the_replicas_it_wants_is_waited_for(
    redis_url: str, database_url: str, tmp_path: Path
) -> None:
    with (
        redis.Redis.from_url(redis_url) as client,
        running_gateway(tmp_path, database_url, redis_url) as gateway,
    ):
        assert gateway.ingest(new_event(event_id="before")).status_code == 202
        client.config_set("min-replicas-to-write", 1)
        try:
            with processing(redis_url, database_url) as processor:
                assert refusal(gateway.ingest(new_event(event_id="refused"))) == (503, "unavailable")
                eventually(lambda: "NOREPLICAS" in processor.processor.metrics.outages.last_error)
                assert stored_ids(database_url) in ([], ["before"])
                client.config_set("min-replicas-to-write", 0)
                wait_until_drained(client, within_seconds=SLOW_SECONDS)
        finally:
            client.config_set("min-replicas-to-write", 0)
        assert gateway.ingest(new_event(event_id="after")).status_code == 202
    assert stored_ids(database_url) == ["before"]
