"""A Redis Cluster of three primaries and three replicas, as processes of this machine."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis

from deploy.embedded.redis_server import EmbeddedRedis
from deploy.embedded.secret_file import write_private
from tests.waiting import eventually

_PASSWORD = "one-password-for-all"
_CONFIG = {"cluster-enabled": "yes", "cluster-node-timeout": "2000", "masterauth": _PASSWORD}
_RANGES = ((0, 5460), (5461, 10922), (10923, 16383))
_SLOW_SECONDS = 60.0


class ClusterUnderTest:
    """``primaries[i]`` is followed by ``replicas[i]``."""

    def __init__(self, primaries: list[EmbeddedRedis], replicas: list[EmbeddedRedis]) -> None:
        self.primaries = primaries
        self.replicas = replicas

    @property
    def url(self) -> str:
        return self.primaries[0].url.replace("redis://", "redis+cluster://").removesuffix("/0")

    def kill_primary(self, number: int) -> None:
        """It dies, and its replica is elected."""
        self.primaries[number].kill()
        heir = self.replicas[number]
        eventually(
            lambda: _call(heir, "INFO", "replication")["role"] == "master",
            within_seconds=_SLOW_SECONDS, what="the replica is elected",
        )  # fmt: skip


@contextmanager
def redis_cluster(folder: Path) -> Iterator[ClusterUnderTest]:
    with ExitStack() as stack:
        nodes = []
        for number in range(6):
            place = folder / f"node-{number}"
            place.mkdir()
            write_private(place / "password", _PASSWORD)
            nodes.append(stack.enter_context(EmbeddedRedis(place, extra_config=_CONFIG)))
        primaries, replicas = nodes[:3], nodes[3:]
        for node, slots in zip(primaries, _RANGES, strict=True):
            _call(node, "CLUSTER", "ADDSLOTSRANGE", *slots)
        for node in nodes[1:]:
            _call(nodes[0], "CLUSTER", "MEET", "127.0.0.1", node.port)
        for primary, replica in zip(primaries, replicas, strict=True):
            name = _call(primary, "CLUSTER", "MYID").decode()
            eventually(lambda r=replica, n=name: n in _text(r, "NODES"), within_seconds=_SLOW_SECONDS)
            _call(replica, "CLUSTER", "REPLICATE", name)
        for node in nodes:
            eventually(lambda n=node: "cluster_state:ok" in _text(n, "INFO"), within_seconds=_SLOW_SECONDS)
        for replica in replicas:
            eventually(
                lambda r=replica: _call(r, "INFO", "replication").get("master_link_status") == "up",
                within_seconds=_SLOW_SECONDS,
            )
        yield ClusterUnderTest(primaries, replicas)


def _call(node: EmbeddedRedis, *command: str | int) -> Any:
    with redis.Redis.from_url(node.url) as client:
        return client.info(str(command[1])) if command[0] == "INFO" else client.execute_command(*command)


def _text(node: EmbeddedRedis, what: str) -> str:
    told = _call(node, "CLUSTER", what)
    return told.decode() if isinstance(told, bytes) else str(told)
