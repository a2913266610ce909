"""One look at the whole system, by the servers themselves. What a server that is away would tell is None."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
import redis

from deploy.fleet.flow_line import Totals, read_totals
from shared.latency_sketch import percentile_us
from shared.processor_status import ProcessorStatus, read_processor_status
from shared.sql_files import load_sql
from shared.stream_status import StreamStatus, read_stream_status

_TIMEOUT_SECONDS: Final = 2
_LATENCY_MINUTES: Final = 1


@dataclass(frozen=True, slots=True)
class Glance:
    """What was seen. Rates are events a second since the look before; latency is of this minute and the last one."""

    at: datetime
    accepted_per_second: float | None = None
    settled_per_second: float | None = None
    lag: int | None = None
    oldest_age_seconds: float | None = None
    failed: int | None = None
    latency_ms: dict[str, float | None] | None = None
    streams: list[dict[str, Any]] = field(default_factory=list)
    processors: list[ProcessorStatus] = field(default_factory=list)
    unavailable: list[str] = field(default_factory=list)


class Looker:
    """Looks again and again; the client is its owner's, the connection its own. Never raises for a server away."""

    def __init__(self, client: redis.Redis, database_url: str, shards: int) -> None:
        self._redis = client
        self._database_url = database_url
        self._shards = shards
        self._connection: psycopg.Connection[Any] | None = None
        self._before: Totals | None = None

    def look(self) -> Glance:
        """What there is to see now."""
        found: dict[str, Any] = {"unavailable": []}
        for server, ask, away in (
            ("redis", self._ask_redis, (redis.RedisError, OSError)),
            ("postgresql", self._ask_postgresql, (psycopg.Error, OSError)),
        ):
            try:
                found |= ask()
            except away:
                found["unavailable"].append(server)
        return Glance(datetime.now(UTC), **found)

    def _ask_redis(self) -> dict[str, Any]:
        now = read_totals(self._redis, self._shards)
        before, self._before = self._before, now
        streams = read_stream_status(self._redis, self._shards)
        events = [stream for stream in streams if stream.name == "events"]
        found: dict[str, Any] = {
            "lag": sum(stream.length for stream in events),
            "oldest_age_seconds": max((stream.oldest_age_seconds for stream in events if stream.length), default=None),
            "streams": [_describe(stream) for stream in streams],
            "processors": read_processor_status(self._redis, self._shards),
        }
        if before is not None:
            seconds = max(now.at - before.at, 0.001)
            found["accepted_per_second"] = round(max(now.accepted - before.accepted, 0) / seconds, 1)
            found["settled_per_second"] = round(max(now.settled - before.settled, 0) / seconds, 1)
        return found

    def _ask_postgresql(self) -> dict[str, Any]:
        try:
            if self._connection is None:
                self._connection = psycopg.connect(
                    self._database_url, autocommit=True, connect_timeout=_TIMEOUT_SECONDS,
                    options=f"-c statement_timeout={_TIMEOUT_SECONDS}s",
                )  # fmt: skip
            start = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=_LATENCY_MINUTES)
            buckets = self._connection.execute(load_sql("deploy.live", "latency"), {"stored_from": start}).fetchall()
            failed = self._connection.execute(load_sql("deploy.live", "failed")).fetchall()
        except psycopg.Error:
            self._connection = None
            raise
        return {
            "latency_ms": _latency({int(bucket): int(events) for bucket, events in buckets}),
            "failed": failed[0][0],
        }


def _latency(histogram: dict[int, int]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for percent in (50, 95, 99):
        microseconds = percentile_us(histogram, percent / 100)
        found[f"p{percent}"] = None if microseconds is None else round(microseconds / 1000, 1)
    return found


def _describe(stream: StreamStatus) -> dict[str, Any]:
    return {
        "name": stream.name,
        "shard": stream.shard,
        "length": stream.length,
        "lag": stream.lag,
        "pending": stream.pending,
        "oldest_age_seconds": stream.oldest_age_seconds,
    }
