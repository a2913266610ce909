"""Reads the events streams once for all viewers of the tail, outside of the consumer group.

Entries are seen when they are added: they leave the stream once stored, some hundredths of a second later. So this
blocks in XREAD and never disturbs a processor; and it reads, decodes and looks at no more a second than its budget, and
passes over the rest, which viewers are told.
"""

import asyncio
import time
from collections.abc import Iterable
from typing import Any, Final

import orjson
import redis.asyncio
import structlog
from redis.exceptions import RedisError

from analytics_api.live.tail_event import server_sent, tail_event
from analytics_api.live.tail_viewer import TailViewer
from analytics_api.live.watchers import CrowdedError
from shared.errors import WeirError
from shared.redis_keys import ShardKeys
from shared.stream_entry import Block, EventFrame, decode_blocks
from shared.stream_status import EntryId, parse_entry_id

log = structlog.get_logger()

BLOCK_MS: Final = 500
_ENTRIES: Final = 8
"""Of each stream in one read."""
_BUDGET_BYTES: Final = 4 * 1024 * 1024
_BUDGET_EVENTS: Final = 5000
_RETRY_SECONDS: Final = 1.0


class EventTail:
    """``join`` and ``leave`` from one event loop. ``client`` is its owner's; its time-out is longer than BLOCK_MS."""

    def __init__(self, client: "redis.asyncio.Redis", shards: int, most: int, most_a_key: int) -> None:
        self._redis = client
        self._streams = [ShardKeys(shard).events for shard in range(shards)]
        self._most = most
        self._most_a_key = most_a_key
        self._viewers: set[TailViewer] = set()
        self._seen: dict[str, EntryId] = {}
        self._task: asyncio.Task[None] | None = None

    def join(self, viewer: TailViewer) -> None:
        """Show it what comes from now on. Raises CrowdedError."""
        if len(self._viewers) >= self._most:
            raise CrowdedError(f"this process serves at most {self._most} viewers of the tail (WEIR_LIVE_VIEWERS)")
        if sum(one.key_id == viewer.key_id for one in self._viewers) >= self._most_a_key:
            raise CrowdedError(f"a key may have {self._most_a_key} viewers of the tail (WEIR_LIVE_VIEWERS_PER_KEY)")
        self._viewers.add(viewer)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def leave(self, viewer: TailViewer) -> None:
        """Show it nothing more; the reading ends soon after the last one."""
        self._viewers.discard(viewer)

    async def close(self) -> None:
        """End the reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        is_away = False
        self._seen.clear()
        while self._viewers:
            try:
                if not self._seen:
                    self._seen = await self._newest()
                    if is_away:
                        self._notice("available", {"available": ["redis"]})
                        is_away = False
                await self._read_for_a_second()
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("tail.away", error=type(error).__name__)
                if not is_away:
                    self._notice("unavailable", {"unavailable": ["redis"]})
                is_away, self._seen = True, {}
                await asyncio.sleep(_RETRY_SECONDS)
            except Exception:  # a fault of our own must not end the tail for good
                log.exception("tail.failed")
                await asyncio.sleep(_RETRY_SECONDS)

    async def _read_for_a_second(self) -> None:
        """Within the budget; when that is used up early, what comes until the second ends is passed over."""
        end = time.monotonic() + 1
        left_bytes, left_events = _BUDGET_BYTES, _BUDGET_EVENTS
        while self._viewers and time.monotonic() < end:
            positions: dict[Any, Any] = {stream: f"{ms}-{seq}" for stream, (ms, seq) in self._seen.items()}
            found: Any = await self._redis.xread(positions, count=_ENTRIES, block=BLOCK_MS)
            if not found:
                await self._look_for_a_new_beginning()
                continue
            for stream, entries in _pairs(found):
                for entry_id, fields in entries:
                    left_bytes -= len(fields.get(b"e", b""))
                    left_events -= self._show(stream.decode(), entry_id, fields)
            if left_bytes <= 0 or left_events <= 0:
                await asyncio.sleep(max(end - time.monotonic(), 0))
                newest = await self._newest()
                for viewer in self._viewers if newest != self._seen else ():
                    viewer.note_gap()
                self._seen = newest
                return

    async def _newest(self) -> dict[str, EntryId]:
        """The ids of the entries added last, there or not, as the totals tell them."""
        pipeline: Any = self._redis.pipeline(transaction=False)
        for keys in self._streams:
            pipeline.hmget(keys.totals, "last_ms", "added")
        totals = zip(self._streams, await pipeline.execute(), strict=True)
        return {keys.stream: (int(last_ms or 0), int(added or 0)) for keys, (last_ms, added) in totals}

    async def _look_for_a_new_beginning(self) -> None:
        """Redis that lost its data counts from 0: the ids that come are then below those that were seen."""
        newest = await self._newest()
        if any(newest[stream] < seen for stream, seen in self._seen.items()):
            self._seen = newest

    def _show(self, stream: str, entry_id: bytes, fields: dict[bytes, bytes]) -> int:
        """Offer an entry's events to the viewers; how many it holds."""
        milliseconds, sequence = self._seen[stream] = parse_entry_id(entry_id)
        try:
            blocks = decode_blocks(fields[b"e"])
        except (WeirError, KeyError) as error:  # the processor says what is wrong with it; here nobody would heed
            log.debug("tail.unreadable_entry", error=type(error).__name__)
            return 1
        events = sum(len(block.events) for block in blocks)
        place = sequence - events
        for block in blocks:
            viewers = [viewer for viewer in self._viewers if viewer.wanted.client_id in (None, block.client_id)]
            for frame in block.events if viewers else ():
                place += 1
                _offer(viewers, block, frame, f"{milliseconds}-{place}")
            place += 0 if viewers else len(block.events)
        return events

    def _notice(self, event: str, content: dict[str, Any]) -> None:
        for viewer in self._viewers:
            viewer.offer(server_sent(event, orjson.dumps(content)))


def _offer(viewers: Iterable[TailViewer], block: Block, frame: EventFrame, event_id: str) -> None:
    piece = b""
    for viewer in viewers:
        if viewer.wanted.wants(frame.event_type) and viewer.admits():
            piece = piece or server_sent("event", tail_event(block, frame), event_id)
            viewer.offer(piece)


def _pairs(found: Any) -> Iterable[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]:
    """Streams and their entries, whichever protocol brought them: RESP3 answers a map, RESP2 a list."""
    if not isinstance(found, dict):
        return [(stream, entries) for stream, entries in found]
    # redis-py leaves RESP3's entries one level deeper
    return [(stream, lists[0] if lists and isinstance(lists[0], list) else lists) for stream, lists in found.items()]
