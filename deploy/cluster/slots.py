"""Which slot a command is for, and which node serves it: pure."""

from binascii import crc_hqx
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from shared.redis_keys import ShardKeys

SLOTS: Final = 16384
_PREFIX: Final = b"weir:"
_COUNTED: Final = frozenset(("FCALL", "FCALL_RO", "EVAL", "EVALSHA"))
"""Their keys follow a name and the number of keys; all others' first argument is a key, or they have none."""
_STREAMS: Final = frozenset(("XREAD", "XREADGROUP"))

Command = tuple[tuple[Any, ...], Any]
"""Arguments and options, as redis-py's pipelines keep them."""


@dataclass(frozen=True, slots=True)
class Node:
    """Where a node of the cluster listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class SlotMap:
    """The primaries by the slots they serve; ``known`` are their replicas too."""

    starts: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()
    primaries: tuple[Node, ...] = ()
    known: frozenset[Node] = frozenset()
    moved: Mapping[int, Node] = field(default_factory=dict)
    """What was learned of single slots since."""

    def primary(self, slot: int) -> Node | None:
        """The node that serves the slot; None when nobody does."""
        if slot in self.moved:
            return self.moved[slot]
        place = bisect_right(self.starts, slot) - 1
        return self.primaries[place] if place >= 0 and slot <= self.ends[place] else None

    def with_moved(self, slot: int, node: Node) -> "SlotMap":
        """The same but for one slot."""
        return SlotMap(self.starts, self.ends, self.primaries, self.known | {node}, {**self.moved, slot: node})


def read_slot_map(reply: Iterable[Sequence[Any]], asked: Node) -> SlotMap:
    """What ``CLUSTER SLOTS`` told. A node that does not know its own address is at the one that was asked."""
    ranges = []
    known = set()
    for start, end, *nodes in reply:
        found = [node_told(node[0], node[1], asked) for node in nodes]
        known.update(found)
        if found:
            ranges.append((int(start), int(end), found[0]))
    ranges.sort(key=lambda one: one[0])
    starts, ends, primaries = zip(*ranges, strict=True) if ranges else ((), (), ())
    return SlotMap(starts, ends, primaries, frozenset(known))


def node_told(host: str | bytes | None, port: int, asked: Node) -> Node:
    """A node as a reply of ``asked`` names it; the host is left out, or ``?``, where it is that of who answered."""
    name = host.decode() if isinstance(host, bytes) else host
    return Node(name if name and name != "?" else asked.host, int(port))


def slot_of_key(key: str | bytes) -> int:
    """The slot of a key, by its hash tag."""
    name = key.encode() if isinstance(key, str) else key
    _, opened, rest = name.partition(b"{")
    tag, closed, _ = rest.partition(b"}")
    return _slot(tag if opened and closed and tag else name)


@lru_cache(maxsize=4096)
def _slot(tag: bytes) -> int:
    return crc_hqx(tag, 0) % SLOTS


HOME_SLOT: Final = slot_of_key(ShardKeys(0).fleet_target)
"""What has no shard is kept with the first, and what names no key is asked there."""


def slot_of_command(arguments: Sequence[Any]) -> int | None:
    """The slot of a command's first key: no command of Weir's has keys of two. None for one without a key."""
    name = arguments[0]
    place = 1
    if name in _COUNTED:
        place = 3
    elif name in _STREAMS:
        place = arguments.index(b"STREAMS" if b"STREAMS" in arguments else "STREAMS") + 1
    key = arguments[place] if len(arguments) > place else None
    if isinstance(key, str):
        key = key.encode()
    return slot_of_key(key) if isinstance(key, bytes) and key.startswith(_PREFIX) else None


def slots_of_pipeline(commands: Iterable[Command]) -> list[int]:
    """The slot of each: one without a key goes with the one before it, the first ones with the first that has one."""
    slots: list[int | None] = [slot_of_command(arguments) for arguments, _ in commands]
    latest = next((slot for slot in slots if slot is not None), HOME_SLOT)
    filled = []
    for slot in slots:
        latest = latest if slot is None else slot
        filled.append(latest)
    return filled
