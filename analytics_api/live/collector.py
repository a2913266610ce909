"""The collector: reads once a second while somebody watches, and tells all of them. One a process.

Its cost depends on the clients that are watched, and not on how many watch them.
"""

import asyncio
import time
from typing import Final

import redis.asyncio
import structlog

from analytics_api.live.metrics_message import Tick, metrics_message
from analytics_api.live.postgres_reading import PostgresReader, PostgresReading
from analytics_api.live.probe import Probe
from analytics_api.live.redis_reading import RedisReader, RedisReading
from analytics_api.live.view import View
from analytics_api.live.watchers import Watcher, Watchers
from analytics_api.reader import Reader

log = structlog.get_logger()

INTERVAL_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 0.8
_FIRST_LOOK_SECONDS: Final = 2.5
"""A view whose servers are away is shown after this long with what is known."""


class Collector:
    """``join`` and ``leave`` from one event loop; ``close`` at its end."""

    def __init__(self, reader: Reader, client: "redis.asyncio.Redis", shards: int, watchers: Watchers) -> None:
        self._watchers = watchers
        redis_reader, postgres_reader = RedisReader(client, shards), PostgresReader(reader)
        self._redis: Probe[RedisReading] = Probe(lambda: redis_reader.read(tuple(self._views)), _PATIENCE_SECONDS)
        self._postgres: Probe[PostgresReading] = Probe(
            lambda: postgres_reader.read(tuple(self._views), self._oldest_age_seconds), _PATIENCE_SECONDS
        )
        self._views: dict[str | None, tuple[View, float]] = {}
        self._oldest_age_seconds = 0.0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.ticks = 0
        """Times it has read."""

    def join(self, watcher: Watcher) -> None:
        """Tell this watcher of its view from now on; the first message comes when there are rates."""
        watcher.is_subscribed = True
        if watcher.view not in self._views:
            self._wake.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def leave(self, watcher: Watcher) -> None:
        """It is told nothing more; with the last one the reading ends."""
        self._watchers.remove(watcher)
        self._wake.set()

    async def close(self) -> None:
        """End the reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await asyncio.gather(self._redis.close(), self._postgres.close())

    async def _run(self) -> None:
        log.info("live.began")
        while self._keep_views():
            due = time.monotonic() + INTERVAL_SECONDS
            try:
                await self._tick()
            except Exception:  # a fault of our own in one tick must not end the watching for good
                log.exception("live.tick_failed")
            await self._sleep_until(due)
        self._views.clear()
        log.info("live.ended", ticks=self.ticks)

    async def _sleep_until(self, due: float) -> None:
        """Until then, or until there is a view that was not read yet, or nobody watches."""
        while (left := due - time.monotonic()) > 0:
            self._wake.clear()
            wanted = self._wanted()
            if not wanted or not wanted <= self._views.keys():
                return
            try:
                await asyncio.wait_for(self._wake.wait(), left)
            except TimeoutError:
                return

    def _wanted(self) -> set[str | None]:
        return {watcher.view for watcher in self._watchers if watcher.is_subscribed}

    def _keep_views(self) -> bool:
        """Begin the views that are wanted, and end the others; whether there are any."""
        wanted, now = self._wanted(), time.monotonic()
        self._views = {view: self._views.get(view) or (View(view), now) for view in wanted}
        return bool(wanted)

    async def _tick(self) -> None:
        self.ticks += 1
        views = dict(self._views)
        redis_reading, postgres_reading = await asyncio.gather(self._redis.ask(), self._postgres.ask())
        now = time.monotonic()
        away = {"redis": redis_reading is None, "postgresql": postgres_reading is None}
        tick = Tick(now, redis_reading, tuple(name for name, is_away in away.items() if is_away))
        if redis_reading is not None:
            ages = [stream.oldest_age_seconds for stream in redis_reading.streams if stream.name == "events"]
            self._oldest_age_seconds = max(ages, default=0.0)
        for view, _ in views.values():
            view.advance(redis_reading, postgres_reading, now)
        self._tell(views, tick)

    def _tell(self, views: dict[str | None, tuple[View, float]], tick: Tick) -> None:
        made: dict[tuple[str | None, bool], str] = {}
        for watcher in self._watchers:
            if not watcher.is_subscribed or watcher.view not in views:
                continue
            view, began = views[watcher.view]
            if not view.is_ready and tick.now < began + _FIRST_LOOK_SECONDS:
                continue
            kind = (watcher.view, watcher.is_admin)
            if kind not in made:
                made[kind] = metrics_message(view, tick, for_admin=watcher.is_admin)
            watcher.tell(made[kind])
