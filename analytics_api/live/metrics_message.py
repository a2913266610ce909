"""The message that a view's watchers get once a second. Pure; deploy/docs/live.md describes it to users."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from analytics_api.live.redis_reading import RedisReading
from analytics_api.live.view import View

_OPTIONS: Final = orjson.OPT_UTC_Z


@dataclass(frozen=True, slots=True)
class Tick:
    """One second: the moment, and what Redis said, or None. ``unavailable`` names the servers that said nothing."""

    now: float
    redis: RedisReading | None
    unavailable: tuple[str, ...]


def metrics_message(view: View, tick: Tick, *, for_admin: bool) -> str:
    """JSON. What is not told to this kind of key, or is unknown at the moment, is null."""
    lag = oldest_age_seconds = None
    if tick.redis is not None and view.client_id is None:
        lag, oldest_age_seconds = _waiting(tick.redis)
    told = for_admin and tick.redis is not None
    message = {
        "type": "metrics",
        "at": datetime.now(UTC),
        "client_id": view.client_id,
        "rates": view.rates,
        "totals": view.totals,
        "totals_since": view.since,
        "lag": lag,
        "oldest_age_seconds": oldest_age_seconds,
        "window_seconds": view.window_seconds(tick.now),
        "latency_ms": view.latency_ms(),
        "counts_by_type": view.counts_by_type(),
        "streams": _streams(tick.redis) if told else None,
        "processors": _processors(tick.redis) if told else None,
        "failed": view.failed,
        "unavailable": tick.unavailable,
    }
    return orjson.dumps(message, option=_OPTIONS).decode()


def _waiting(redis: RedisReading) -> tuple[int, float | None]:
    """Events not yet stored, and the age of the oldest of them in seconds, if any."""
    events = [stream for stream in redis.streams if stream.name == "events"]
    ages = [stream.oldest_age_seconds for stream in events if stream.length]
    return sum(stream.length for stream in events), max(ages, default=None)


def _streams(redis: RedisReading | None) -> list[dict[str, Any]]:
    return [
        {
            "name": stream.name,
            "shard": stream.shard,
            "length": stream.length,
            "lag": stream.lag,
            "pending": stream.pending,
            "oldest_age_seconds": stream.oldest_age_seconds,
        }
        for stream in (redis.streams if redis else [])
    ]


def _processors(redis: RedisReading | None) -> list[dict[str, Any]]:
    return [
        {
            "name": processor.name,
            "host": processor.host,
            "state": processor.state,
            "stored_per_second": processor.rate,
            "pending": processor.pending,
            "idle_seconds": processor.idle_seconds,
            "last_error": processor.last_error,
        }
        for processor in (redis.processors if redis else [])
    ]
