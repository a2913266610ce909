"""All live parts of one process, made together and closed together."""

from dataclasses import dataclass

import redis.asyncio
from fastapi import APIRouter

from analytics_api.live.collector import Collector
from analytics_api.live.metrics_route import metrics_route
from analytics_api.live.watchers import Watchers
from analytics_api.reader import Reader
from shared.key_ring import KeyRing


@dataclass(frozen=True, slots=True)
class LiveLimits:
    """How many may watch."""

    viewers: int = 200
    viewers_per_key: int = 20


class Live:
    """``reader`` and ``client`` are the owner's."""

    def __init__(
        self, reader: Reader, client: "redis.asyncio.Redis", shards: int, key_ring: KeyRing, limits: LiveLimits
    ) -> None:
        self._key_ring = key_ring
        self._viewers = Watchers(limits.viewers, limits.viewers_per_key)
        self.collector = Collector(reader, client, shards, self._viewers)

    def routes(self) -> APIRouter:
        """Everything live that is served."""
        return metrics_route(self.collector, self._viewers, self._key_ring)

    async def close(self) -> None:
        """End what runs."""
        await self.collector.close()
