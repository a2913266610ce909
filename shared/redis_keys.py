"""Every Redis key Weir uses, built in one place.

A key carries its shard's hash tag (``weir:{0}:events``), so one shard is one Redis Cluster slot and the atomic
functions may touch all keys of a shard together.
"""

from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

GROUP = "weir"
"""The consumer group of every stream."""


@dataclass(frozen=True, slots=True)
class StreamKeys:
    """One stream and its totals: a hash of ``added`` and ``settled`` (events, ever), ``last_ms`` and ``born_ms``."""

    name: str
    shard: int

    @property
    def stream(self) -> str:
        return f"weir:{{{self.shard}}}:{self.name}"

    @property
    def totals(self) -> str:
        return f"{self.stream}:totals"

    @property
    def hold(self) -> str:
        """Hash that makes its processors stand still, and counts resumptions; see ``shared.stream_hold``."""
        return f"{self.stream}:hold"

    def trial(self, entry_id: str) -> str:
        """Hash of an entry that may kill its processor: who tries what of it, and deaths; expires by itself."""
        return f"{self.stream}:trial:{entry_id}"


@dataclass(frozen=True, slots=True)
class ShardKeys:
    """All keys of one shard."""

    shard: int

    @property
    def events(self) -> StreamKeys:
        return StreamKeys("events", self.shard)

    @property
    def audit(self) -> StreamKeys:
        return StreamKeys("audit", self.shard)

    @property
    def dead(self) -> StreamKeys:
        return StreamKeys("dead", self.shard)

    @property
    def streams(self) -> tuple[StreamKeys, ...]:
        return (self.events, self.audit, self.dead)

    @property
    def ids(self) -> str:
        """Hash of recently accepted ids: ``client NUL event_id`` to packed entry id and payload CRC."""
        return f"weir:{{{self.shard}}}:ids"

    @property
    def ids_before(self) -> str:
        """The hash that ``ids`` was until it was rotated; forgotten at the next rotation."""
        return f"weir:{{{self.shard}}}:ids:before"

    @property
    def accepted(self) -> str:
        """Hash of how many events were accepted, by minute and client; see ``shared.accepted_counts``."""
        return f"weir:{{{self.shard}}}:accepted"

    @property
    def parked(self) -> str:
        """Sorted set of the events that lately failed, for those who wait for them; expires by itself."""
        return f"weir:{{{self.shard}}}:parked"

    def processor(self, consumer: str) -> str:
        """Hash a processor tells of itself; expires by itself. Of the first shard, whatever shards it serves."""
        return f"weir:{{{self.shard}}}:processor:{consumer}"

    @property
    def reconcile(self) -> str:
        """Hash of what the last reconciliation found; expires by itself. Of the first shard, for all."""
        return f"weir:{{{self.shard}}}:reconcile"

    @property
    def fleet_target(self) -> str:
        """Hash of how many processors there are to be; of the first shard."""
        return f"weir:{{{self.shard}}}:fleet"

    def supervisor(self, name: str) -> str:
        """Hash a supervisor of processors tells of itself; expires by itself. Of the first shard."""
        return f"weir:{{{self.shard}}}:supervisor:{name}"

    def limit(self, key_id: str) -> str:
        """List of the admissions of one API key, newest first; see ``lua/sliding_window.lua``."""
        return f"weir:{{{self.shard}}}:limit:runs:{key_id}"


@lru_cache(maxsize=65_536)
def shard_of(client_id: str, shards: int) -> int:
    """The shard a client's events go to: a stable hash, the same in every process and release."""
    return crc32(client_id.encode()) % shards
