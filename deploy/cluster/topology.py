"""What a client knows of its cluster, and when it has to ask again. No I/O."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import redis
from redis.exceptions import AskError, ClusterDownError, MovedError, ReadOnlyError, TryAgainError

from deploy.cluster.slots import Node, SlotMap, node_told, read_slot_map

MOST_CALLS: Final = 4
"""So often is a command sent that every node leads to another one; each time nothing of it was done."""
_LOOK_SECONDS: Final = 0.25
"""Between two looks while something is wrong."""
_ASKING_SECONDS: Final = 2.0
"""A look asks no further node after so long: while none answers, a call should not take a time-out for each."""
_PORT: Final = 6379
_SCHEMES: Final = ("redis+cluster://", "rediss+cluster://")

CLUSTER_SLOTS: Final = "CLUSTER SLOTS"


class ShardAwayError(redis.ConnectionError):
    """No node serves the slot at the moment: its primary died, or the slot is on its way to another node.

    To who waits for Redis it is an outage like any other. Nothing was done.
    """


class Topology:
    """The nodes and their slots, as they were told last. Of one client."""

    def __init__(self, url: str) -> None:
        """``url`` names one node or several: ``redis+cluster://user:password@host:port,host:port``."""
        self._url = url
        self._seeds = seeds(url)
        self._slots = SlotMap()
        self._doubted: set[Node] = set()
        self._is_doubtful = True
        self._looked_at = float("-inf")

    def wants_look(self) -> bool:
        """Whether to ask before the next call; true at most four times a second."""
        return self._is_doubtful and time.monotonic() >= self._looked_at + _LOOK_SECONDS

    @property
    def is_known(self) -> bool:
        """Whether anything was learned yet."""
        return bool(self._slots.known)

    @property
    def seed(self) -> Node:
        """A node that the URL names."""
        return self._seeds[0]

    def to_ask(self) -> Iterator[Node]:
        """Whom to ask, one after the other: those that lately failed last. Begins the time until the next look."""
        began = self._looked_at = time.monotonic()
        nodes = dict.fromkeys((*sorted(self._slots.known, key=str), *self._seeds))
        for node in sorted(nodes, key=lambda node: node in self._doubted):
            if time.monotonic() < began + _ASKING_SECONDS:
                yield node

    def adopt(self, reply: Any, asked: Node) -> None:
        """Believe what a node answered to CLUSTER SLOTS."""
        self._slots = read_slot_map(reply, asked)
        self._doubted &= self.known
        self._is_doubtful = not self._doubted.isdisjoint(self._slots.primaries) or not self._slots.primaries

    def primary(self, slot: int) -> Node:
        """The node that serves a slot. Raises ShardAwayError."""
        node = self._slots.primary(slot)
        if node is None:
            self._is_doubtful = True
            raise ShardAwayError(f"no node of the Redis Cluster {self} serves slot {slot}")
        return node

    @property
    def known(self) -> frozenset[Node]:
        """All nodes."""
        return self._slots.known | set(self._seeds)

    def learn(self, moved: MovedError, told_by: Node) -> None:
        """A node led to another one."""
        self._slots = self._slots.with_moved(moved.slot_id, node_told(moved.host, moved.port, told_by))
        self._is_doubtful = True

    def judge(self, node: Node, replies: Iterable[Any]) -> None:
        """Learn from the replies of a pipeline. Raises ShardAwayError if one says that a slot is not to be had now."""
        for reply in replies:
            if away := self._away(reply):
                raise away
            if isinstance(reply, MovedError):
                self.learn(reply, node)

    def nobody_answers(self, last: Exception | None) -> ShardAwayError:
        """The error of a look without an answer."""
        why = f" ({type(last).__name__}: {last})" if last else ""
        return ShardAwayError(f"no node of the Redis Cluster {self} answers{why}")

    @contextmanager
    def watching(self, node: Node) -> Iterator[None]:
        """Around each call of a node: what goes wrong tells whether the topology is still right.

        What says that the slot is not to be had now becomes ShardAwayError; all else is raised as it is.
        """
        try:
            yield
        except (redis.ConnectionError, redis.TimeoutError, OSError):
            self._is_doubtful = True
            self._doubted.add(node)
            raise
        except redis.ResponseError as error:
            if away := self._away(error):
                raise away from error
            raise
        else:
            self._doubted.discard(node)

    def _away(self, reply: Any) -> ShardAwayError | None:
        """The error that a reply means, if the slot is not to be had now."""
        if isinstance(reply, MovedError) or not isinstance(
            reply, AskError | ClusterDownError | ReadOnlyError | TryAgainError
        ):
            return None
        self._is_doubtful = True
        return ShardAwayError(f"{type(reply).__name__}: {reply}")

    def url_of(self, node: Node) -> str:
        """The URL of one node: credentials, scheme and options are those of the cluster's."""
        parts = urlsplit(self._url)
        user, at, _ = parts.netloc.rpartition("@")
        return parts._replace(
            scheme=parts.scheme.removesuffix("+cluster"), netloc=f"{user}{at}{node}", path=""
        ).geturl()

    def __str__(self) -> str:
        return ",".join(map(str, self._seeds))


def is_cluster(url: str) -> bool:
    """Whether a REDIS_URL names a cluster."""
    return url.startswith(_SCHEMES)


def seeds(url: str) -> Sequence[Node]:
    """The nodes that a URL names. Raises ValueError for what is no address."""
    _, _, addresses = urlsplit(url).netloc.rpartition("@")
    found = []
    for address in addresses.split(","):
        parts = urlsplit(f"//{address}")
        if not parts.hostname:
            raise ValueError(address)
        found.append(Node(parts.hostname, parts.port or _PORT))
    return found
