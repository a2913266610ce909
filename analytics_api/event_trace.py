"""What Redis remembers of an event that PostgreSQL does not have (yet)."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from struct import Struct
from typing import Any, Final

import redis.asyncio
from redis.exceptions import RedisError, ResponseError

from analytics_api.reader import unavailable
from shared.redis_keys import GROUP, ShardKeys, shard_of
from shared.stream_status import EntryId, parse_entry_id

_ACCEPTED_AS: Final = Struct(">HIHI")  # as ingest_gateway/publish.lua packs it; the payload's CRC follows


class TraceState(StrEnum):
    """Where in the stream an event is."""

    ACCEPTED = "accepted"
    """Not delivered to a processor yet."""
    PENDING = "pending"
    """Delivered, and not settled."""
    SETTLED = "settled"
    """Its entry is gone: the event is stored, or is on its way to the failed ones."""


@dataclass(frozen=True, slots=True)
class EventTrace:
    """An accepted event's place in the stream. ``entry_id`` is the event's own, as the gateway answered it."""

    client_id: str
    entry_id: EntryId
    state: TraceState
    attempts: int = 0
    """Deliveries of the entry that holds it."""
    is_dying: bool = False
    """Failed events wait to be written down; this may be one of them."""


class EventTraces:
    """Looks events up in the early duplicate filter of their shard. Raises Problem unavailable when Redis is away."""

    def __init__(self, client: "redis.asyncio.Redis", shards: int) -> None:
        self._client = client
        self._shards = shards

    async def find(self, client_id: str, event_id: str) -> EventTrace | None:
        """The trace, or None when no filter knows the event (any more).

        Looks in the client's shard first, then in the others: a gateway may yet have another number of shards.
        """
        own = shard_of(client_id, self._shards)
        others = [shard for shard in range(self._shards) if shard != own]
        name = f"{client_id}\x00{event_id}"
        try:
            for shards in filter(None, ([own], others)):
                found = await self._remembered(name, shards)
                if found is not None:
                    shard, entry_id = found
                    return await self._locate(ShardKeys(shard), client_id, entry_id)
        except (RedisError, OSError) as error:
            raise unavailable("Redis") from error
        return None

    async def _remembered(self, name: str, shards: Sequence[int]) -> tuple[int, EntryId] | None:
        pipeline = self._client.pipeline(transaction=False)
        for keys in map(ShardKeys, shards):
            # In this order a rotation between the two hides nothing: it moves the one to the other.
            pipeline.hget(keys.ids, name)
            pipeline.hget(keys.ids_before, name)
        answers = iter(await pipeline.execute())
        for shard, newer, older in zip(shards, answers, answers, strict=True):
            if newer or older:
                return shard, unpack_entry_id(newer or older)
        return None

    async def _locate(self, keys: ShardKeys, client_id: str, entry_id: EntryId) -> EventTrace:
        pipeline = self._client.pipeline(transaction=True)
        pipeline.xinfo_groups(keys.events.stream)
        # The entry that holds the event is the first not below the event's id, if it is there at all.
        pipeline.xpending_range(keys.events.stream, GROUP, "-".join(map(str, entry_id)), "+", 1)
        pipeline.xlen(keys.dead.stream)
        groups, pending, dead_entries = await pipeline.execute(raise_on_error=False)
        state, attempts = locate(entry_id, _last_delivered(groups), _or_none(pending))
        return EventTrace(client_id, entry_id, state, attempts, is_dying=bool(dead_entries))


def unpack_entry_id(packed: bytes) -> EntryId:
    """The entry id in a value of the filter's hashes. Raises struct.error for other bytes."""
    ms_high, ms_low, sequence_high, sequence_low = _ACCEPTED_AS.unpack_from(packed)
    return ms_high << 32 | ms_low, sequence_high << 32 | sequence_low


def locate(entry_id: EntryId, last_delivered: EntryId, pending: list[Any]) -> tuple[TraceState, int]:
    """State and attempts of an event, from the group's last delivered id and the first pending entry not below it.

    An entry of another millisecond cannot hold the event. One of the same might not, if the event's own is settled: the
    caller asks PostgreSQL after this, and what was settled before is found there.
    """
    if entry_id > last_delivered:
        return TraceState.ACCEPTED, 0
    if pending and parse_entry_id(pending[0]["message_id"])[0] == entry_id[0]:
        return TraceState.PENDING, int(pending[0]["times_delivered"])
    return TraceState.SETTLED, 0


def _last_delivered(groups: Any) -> EntryId:
    for group in _or_none(groups) or []:
        if group["name"] in (GROUP, GROUP.encode()):
            return parse_entry_id(group["last-delivered-id"])
    return 0, 0


def _or_none(reply: Any) -> Any:
    if isinstance(reply, ResponseError):  # no such stream or group: nothing was delivered
        return None
    if isinstance(reply, Exception):
        raise reply
    return reply
