"""A Redis Cluster behind the interface of a client of one server, for one thread."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import redis
from redis.client import Pipeline
from redis.exceptions import MovedError

from deploy.cluster.pipelines import by_node, of_one_slot, unfinished
from deploy.cluster.slots import HOME_SLOT, Command, Node, slot_of_command, slot_of_key
from deploy.cluster.topology import CLUSTER_SLOTS, MOST_CALLS, ShardAwayError, Topology

POLL_SECONDS: Final = 0.1
"""Between two looks of a blocking read of streams on several nodes."""


class ClusterRedis(redis.Redis):
    """Sends each command to the node that serves its key, by a plain client for each node.

    Follows MOVED, after which nothing was done; repeats nothing else. Connects at the first call. A command without a
    key goes to the node of the first shard; in a pipeline, with the commands around it.
    """

    def __init__(self, url: str, make_node: Callable[[str], redis.Redis]) -> None:
        self._nodes: dict[Node, redis.Redis] = {}
        self._topology = Topology(url)
        self._make_node = make_node
        unused = make_node(self._topology.url_of(self._topology.seed))  # for what the base class wants to know
        super().__init__(connection_pool=unused.connection_pool)

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """The reply. Raises ShardAwayError while no node serves the key, and else what a client of one server does."""
        slot = slot_of_command(args)
        for _ in range(MOST_CALLS):
            node = self._find(HOME_SLOT if slot is None else slot)
            try:
                with self._topology.watching(node):
                    return self._client(node).execute_command(*args, **options)  # type: ignore[no-untyped-call]
            except MovedError as moved:
                self._topology.learn(moved, node)
        raise ShardAwayError(f"{args[0]} was led from node to node {MOST_CALLS} times")

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Pipeline:
        """Commands sent together: of one slot, or, without a transaction, of any, one node after the other."""
        return _ClusterPipeline(self, transaction)

    def xread(self, streams: Any, count: int | None = None, block: int | None = None) -> Any:  # type: ignore[override]  # has no other bounds
        """As of one server, but for ``block``: streams of several slots are polled ten times a second."""
        if len({slot_of_key(name) for name in streams}) == 1:
            return super().xread(streams, count, block)
        deadline = time.monotonic() + (block or 0) / 1000
        while True:
            found = self._read_once(streams, count)
            if found or time.monotonic() >= deadline:
                return found
            time.sleep(POLL_SECONDS)

    def node_of(self, key: str) -> redis.Redis:
        """The client of the node that serves the key now, for commands without one. Raises ShardAwayError."""
        return self._client(self._find(slot_of_key(key)))

    def run(self, commands: Sequence[Command], *, transaction: bool) -> list[Any]:
        """The replies of a pipeline, errors among them. Raises what keeps a node from answering at all."""
        replies: list[Any] = [None] * len(commands)
        places: Sequence[int] = range(len(commands))
        for _ in range(MOST_CALLS):
            for node, part in by_node(commands, places, self._find).items():
                self._run_part(node, commands, part, replies, transaction=transaction)
            places = unfinished(commands, replies)
            if not places:
                return replies
        raise ShardAwayError(f"a pipeline was led from node to node {MOST_CALLS} times")

    def close(self) -> None:
        """Close the connections to all nodes."""
        for client in self._nodes.values():
            client.close()
        self._nodes.clear()

    def _run_part(
        self, node: Node, commands: Sequence[Command], places: Sequence[int], replies: list[Any], *, transaction: bool
    ) -> None:
        with self._topology.watching(node):
            pipeline = self._client(node).pipeline(transaction=transaction)
            pipeline.command_stack = [commands[place] for place in places]
            try:
                answered = pipeline.execute(raise_on_error=False)
            except MovedError as moved:  # of a transaction, which was refused as a whole
                answered = [moved] * len(places)
        self._topology.judge(node, answered)
        for place, reply in zip(places, answered, strict=True):
            replies[place] = reply

    def _find(self, slot: int) -> Node:
        if self._topology.wants_look():
            self._look()
        return self._topology.primary(slot)

    def _look(self) -> None:
        last = None
        for node in self._topology.to_ask():
            try:
                with self._topology.watching(node):
                    reply = self._client(node).execute_command(CLUSTER_SLOTS)  # type: ignore[no-untyped-call]
            except (redis.RedisError, OSError) as error:
                last = error
                continue
            self._topology.adopt(reply, node)
            for gone in self._nodes.keys() - self._topology.known:
                self._nodes.pop(gone).close()
            return
        raise self._topology.nobody_answers(last)

    def _client(self, node: Node) -> redis.Redis:
        client = self._nodes.get(node)
        if client is None:
            client = self._nodes[node] = self._make_node(self._topology.url_of(node))
        return client

    def _read_once(self, streams: Any, count: int | None) -> Any:
        pipeline = self.pipeline(transaction=False)
        for name, position in streams.items():
            pipeline.xread({name: position}, count)
        found: dict[Any, Any] = {}
        for reply in pipeline.execute():
            found |= reply if isinstance(reply, dict) else dict(reply or ())
        return found


class _ClusterPipeline(Pipeline):
    """Gathers commands as a plain one does; the cluster's client sends them."""

    def __init__(self, cluster: ClusterRedis, transaction: bool) -> None:
        super().__init__(cluster.connection_pool, {}, transaction, None)
        self._cluster = cluster
        self._is_transaction = transaction

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        commands, self.command_stack = self.command_stack, []
        if self._is_transaction:
            of_one_slot(commands)
        replies = self._cluster.run(commands, transaction=self._is_transaction)
        if raise_on_error:
            self.raise_first_error(commands, replies)  # type: ignore[no-untyped-call]
        return replies
