"""All live parts of one process, made together and closed together."""

import asyncio
from dataclasses import dataclass

import redis.asyncio
from fastapi import APIRouter

from analytics_api.live.collector import Collector
from analytics_api.live.event_tail import EventTail
from analytics_api.live.lag_history import LagHistory
from analytics_api.live.lag_route import lag_route
from analytics_api.live.metrics_route import metrics_route
from analytics_api.live.tail_route import tail_route
from analytics_api.live.watchers import Watchers
from analytics_api.reader import Reader
from shared.key_ring import KeyRing


@dataclass(frozen=True, slots=True)
class LiveLimits:
    """How many may watch, of the metrics and of the tail each."""

    viewers: int = 200
    viewers_per_key: int = 20


class Live:
    """``reader`` and the clients are the owner's; ``blocking`` is for calls that block for half a second."""

    def __init__(
        self,
        reader: Reader,
        client: "redis.asyncio.Redis",
        blocking: "redis.asyncio.Redis",
        shards: int,
        key_ring: KeyRing,
        limits: LiveLimits,
    ) -> None:
        self._key_ring = key_ring
        self._stopping = asyncio.Event()
        self._viewers = Watchers(limits.viewers, limits.viewers_per_key)
        self.collector = Collector(reader, client, shards, self._viewers)
        self.lag = LagHistory(client, shards)
        self.tail = EventTail(blocking, shards, limits.viewers, limits.viewers_per_key)

    def routes(self) -> APIRouter:
        """Everything live that is served."""
        router = APIRouter()
        router.include_router(metrics_route(self.collector, self._viewers, self._key_ring))
        router.include_router(lag_route(self.lag))
        router.include_router(tail_route(self.tail, self._key_ring, self._stopping))
        return router

    def start(self) -> None:
        """Begin what runs without a viewer; inside of the event loop that serves."""
        self.lag.start()

    def stop(self) -> None:
        """Let tails end: a server that closes waits for its answers."""
        self._stopping.set()

    async def close(self) -> None:
        """End what runs."""
        self.stop()
        await self.lag.close()
        await self.collector.close()
        await self.tail.close()
