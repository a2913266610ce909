"""How many processors there are to be, in all, and the supervisors that see to it: what they agree on through Redis.

The target is one hash that an operator's command writes. Every supervisor tells of itself in a hash that expires, so
each knows who else is there, and takes its share without asking anyone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import redis

from shared.redis_functions import RedisFunction
from shared.redis_keys import ShardKeys

SUPERVISOR_KEPT_SECONDS: Final = 10
"""A supervisor that has told nothing for so long is gone, and the others take over its share."""
MOST_PROCESSORS: Final = 1024
_PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class AutoPolicy:
    """Bounds within which the number follows the age of the oldest event that is not stored."""

    least: int
    most: int
    target_lag_seconds: float


@dataclass(frozen=True, slots=True)
class FleetTarget:
    """How many processors there are to be. ``version`` tells one order from the next."""

    count: int
    version: int
    auto: AutoPolicy | None = None


@dataclass(frozen=True, slots=True)
class SupervisorStatus:
    """One supervisor: its share, and what runs of it. ``leaving`` are processes that drain.

    ``version`` is of the target that it follows, 0 when there is none.
    """

    name: str
    host: str
    wanted: int
    running: int
    leaving: int
    version: int
    trouble: str


class FleetOrders:
    """Reads and writes the target. Every call raises redis-py's errors."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client
        self._key = ShardKeys(0).fleet_target
        self._order = RedisFunction("shared", "order_fleet")
        self._adjust = RedisFunction("shared", "adjust_fleet")

    def target(self) -> FleetTarget | None:
        """The target, or None when nobody has set one."""
        fields = cast(dict[bytes, bytes], self._redis.hgetall(self._key))
        return _target({name.decode(): value.decode() for name, value in fields.items()})

    def order(self, count: int, auto: AutoPolicy | None = None) -> None:
        """Set the target, in place of whatever it was."""
        bounds = () if auto is None else (auto.least, auto.most, str(auto.target_lag_seconds))
        self._order.call(self._redis, [self._key], count, *bounds)

    def adjust(self, version: int, count: int) -> bool:
        """Set the number only, unless another order has come meanwhile; whether it was set."""
        return bool(self._adjust.call(self._redis, [self._key], version, count))

    def forget(self) -> bool:
        """Have no target: every supervisor runs as many as its own settings say. Whether there was one."""
        return bool(self._redis.delete(self._key))


class Supervisors:
    """Who supervises processors at this moment. Every call raises redis-py's errors."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client

    def tell(self, status: SupervisorStatus) -> None:
        """Tell of oneself; to be repeated every second."""
        key = ShardKeys(0).supervisor(status.name)
        facts: dict[Any, Any] = {
            "host": status.host,
            "wanted": status.wanted,
            "running": status.running,
            "leaving": status.leaving,
            "version": status.version,
            "trouble": status.trouble,
        }
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.hset(key, mapping=facts)
        pipeline.expire(key, SUPERVISOR_KEPT_SECONDS)
        pipeline.execute()

    def leave(self, name: str) -> None:
        """Be gone at once: the others need not wait for it."""
        self._redis.delete(ShardKeys(0).supervisor(name))

    def all(self) -> list[SupervisorStatus]:
        """All, by name."""
        prefix = ShardKeys(0).supervisor("")
        found = []
        for key in self._redis.scan_iter(match=prefix.replace("{", "\\{").replace("}", "\\}") + "*", count=_PAGE):
            fields = cast(dict[bytes, bytes], self._redis.hgetall(key))
            facts = {name.decode(): text.decode() for name, text in fields.items()}
            if facts:  # else it expired just now
                found.append(_supervisor(key.decode().removeprefix(prefix), facts))
        return sorted(found, key=lambda one: one.name)


def share_of(name: str, names: Sequence[str], count: int) -> int:
    """How many of ``count`` processors the supervisor ``name`` runs, beside all others of ``names``.

    Even shares, the rest to the first. They add up to ``count``, and depend on nothing but names and count.
    """
    ordered = sorted({*names, name})
    share, rest = divmod(count, len(ordered))
    return share + (ordered.index(name) < rest)


def _target(fields: Mapping[str, str]) -> FleetTarget | None:
    if "count" not in fields:
        return None
    auto = None
    if "least" in fields:
        auto = AutoPolicy(int(fields["least"]), int(fields["most"]), float(fields["target_lag_seconds"]))
    return FleetTarget(int(fields["count"]), int(fields.get("version", 0)), auto)


def _supervisor(name: str, facts: Mapping[str, str]) -> SupervisorStatus:
    wanted, running, leaving, version = (
        int(facts.get(word, 0)) for word in ("wanted", "running", "leaving", "version")
    )
    return SupervisorStatus(name, facts.get("host", ""), wanted, running, leaving, version, facts.get("trouble", ""))
