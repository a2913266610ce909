"""One view: what a client, or everybody, sees of the system. Fed with readings, it makes the numbers of a message."""

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from analytics_api.live.growth import MINUTE_SECONDS, MinuteGrowth
from analytics_api.live.postgres_reading import PostgresReading, StoredLabel
from analytics_api.live.redis_reading import RedisReading
from shared.latency_sketch import percentile_us

WINDOW_SECONDS: Final = 60.0
TOP_TYPES: Final = 20
_REDIS_KINDS: Final = ("accepted",)
_POSTGRES_KINDS: Final = ("stored", "duplicate", "failed")
KINDS: Final = (*_REDIS_KINDS, *_POSTGRES_KINDS)


@dataclass(slots=True)
class _Window:
    """What was stored in the last minute, by type and by latency bucket."""

    sums: "Counter[StoredLabel]" = field(default_factory=Counter)
    _steps: "deque[tuple[float, Counter[StoredLabel]]]" = field(default_factory=deque)

    def add(self, at: float, added: "Counter[StoredLabel]") -> None:
        if added:
            self._steps.append((at, added))
            self.sums.update(added)

    def expire(self, now: float) -> None:
        while self._steps and self._steps[0][0] <= now - WINDOW_SECONDS:
            self.sums.subtract(self._steps.popleft()[1])
            self.sums += Counter()  # drops what is zero


class View:
    """``client_id`` None is everybody. ``advance`` once a tick; a server that was away is None."""

    def __init__(self, client_id: str | None) -> None:
        self.client_id = client_id
        self.since = datetime.now(UTC)
        self.rates: dict[str, float | None] = dict.fromkeys(KINDS)
        self.totals: dict[str, int] = dict.fromkeys(KINDS, 0)
        self.failed: int | None = None
        self._accepted: MinuteGrowth[str] = MinuteGrowth()
        self._stored: MinuteGrowth[StoredLabel] = MinuteGrowth()
        self._intake: MinuteGrowth[str] = MinuteGrowth()
        self._window = _Window()
        self._window_began: float | None = None
        self._read_at: dict[str, float] = {}

    @property
    def is_ready(self) -> bool:
        """Whether two readings lie behind it, so that there are rates; or as much as a server that is away allows."""
        return any(rate is not None for rate in self.rates.values())

    def advance(self, redis: RedisReading | None, postgres: PostgresReading | None, now: float) -> None:
        """Take in one tick's readings; one that was begun before this view was wanted says nothing of it."""
        if redis is not None and self.client_id in redis.clients:
            # With everybody's number comes one of the minute 0, which must count from the first reading on.
            grown = self._accepted.advance(
                0 if self.client_id is None else redis.start_minute, redis.accepted.get(self.client_id, {})
            )
            self._count("redis", redis.at, grown, _REDIS_KINDS)
        else:
            self.rates.update(dict.fromkeys(_REDIS_KINDS))
        if postgres is not None and self.client_id in postgres.clients:
            self._advance_stored(postgres)
        else:
            self.rates.update(dict.fromkeys(_POSTGRES_KINDS))
            self.failed = None
        self._window.expire(now)

    def _advance_stored(self, postgres: PostgresReading) -> None:
        counts = postgres.stored.get(self.client_id, {})
        grown = self._stored.advance(postgres.stored_start, counts)
        if self._window_began is None:
            self._begin_window(postgres.at, counts)
        self._window.add(postgres.at, grown)
        kinds = self._intake.advance(postgres.intake_start, postgres.intake.get(self.client_id, {}))
        kinds["stored"] = sum(count for label, count in grown.items() if isinstance(label, str))
        self._count("postgresql", postgres.at, kinds, _POSTGRES_KINDS)
        self.failed = postgres.failed.get(self.client_id, 0)

    def _begin_window(self, at: float, counts: dict[tuple[int, Any], int]) -> None:
        """The minute that runs lies wholly within the last 60 seconds: the window begins with it."""
        wall = time.time()
        minute = int(wall) // MINUTE_SECONDS
        self._window_began = at - (wall - minute * MINUTE_SECONDS)
        running = Counter({label: count for (of, label), count in counts.items() if of == minute})
        self._window.add(self._window_began, running)

    def _count(self, source: str, at: float, grown: "Counter[str]", kinds: tuple[str, ...]) -> None:
        before = self._read_at.get(source)
        self._read_at[source] = at
        if before is None:
            return
        seconds = max(at - before, 0.001)
        for kind in kinds:
            self.totals[kind] += grown[kind]
            self.rates[kind] = round(grown[kind] / seconds, 2)

    def window_seconds(self, now: float) -> float:
        """How much of the last minute the window knows."""
        return 0.0 if self._window_began is None else round(min(now - self._window_began, WINDOW_SECONDS), 1)

    def latency_ms(self) -> dict[str, float | int | None]:
        """Percentiles of the time from receipt to stored, within 2 %."""
        histogram = {label: count for label, count in self._window.sums.items() if isinstance(label, int)}
        found: dict[str, float | int | None] = {}
        for percent in (50, 95, 99):
            microseconds = percentile_us(histogram, percent / 100)
            found[f"p{percent}"] = None if microseconds is None else round(microseconds / 1000, 3)
        return found | {"count": sum(histogram.values())}

    def counts_by_type(self) -> list[dict[str, Any]]:
        """The most frequent types, and the rest of them as one without a name."""
        counts = [(label, count) for label, count in self._window.sums.items() if isinstance(label, str)]
        counts.sort(key=lambda one: (-one[1], one[0]))
        rows: list[dict[str, Any]] = [{"event_type": label, "count": count} for label, count in counts[:TOP_TYPES]]
        if len(counts) > TOP_TYPES:
            rows.append({"event_type": None, "count": sum(count for _, count in counts[TOP_TYPES:])})
        return rows
