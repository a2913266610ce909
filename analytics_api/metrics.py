"""The analytics API's metrics: every one with its unit, meaning, and what to do when it looks bad."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from shared.stream_status import StreamStatus

_STREAM_LABELS: Final = ("stream", "shard")


class AnalyticsMetrics:
    """The metrics of one process, on a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "weir_analytics_requests_total",
            "Requests answered, by method, route and status. Many 504: questions too wide; many 503: see the servers.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "weir_analytics_request_duration_seconds",
            "Time from a request's head to its answer's end, by route. High: PostgreSQL is slow, or ranges are wide.",
            ["route"],
            buckets=(0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=self.registry,
        )
        self.redis_up = Gauge(
            "weir_analytics_redis_up", "1 when Redis answered this scrape; 0: see Redis.", registry=self.registry
        )
        self._length = Gauge(
            "weir_stream_length_events",
            "Events in a stream, not settled. Rising: processors do not keep up; add some, or see PostgreSQL.",
            _STREAM_LABELS,
            registry=self.registry,
        )
        self._lag = Gauge(
            "weir_stream_lag_events",
            "Events not delivered to a processor yet. Rising: no processor runs, or too few.",
            _STREAM_LABELS,
            registry=self.registry,
        )
        self._pending = Gauge(
            "weir_stream_pending_events",
            "Events delivered and not settled. Steady while lag rises: a processor hangs, or PostgreSQL is away.",
            _STREAM_LABELS,
            registry=self.registry,
        )
        self._oldest_age = Gauge(
            "weir_stream_oldest_age_seconds",
            "Age of the oldest event not settled; 0 when there is none. Rising: as for length.",
            _STREAM_LABELS,
            registry=self.registry,
        )

    def show_streams(self, streams: Iterable[StreamStatus]) -> None:
        """Set the stream gauges. Without streams they vanish: an old number would look like a present one."""
        gauges = (self._length, self._lag, self._pending, self._oldest_age)
        for gauge in gauges:
            gauge.clear()
        for stream in streams:
            numbers = (stream.length, stream.lag, stream.pending, stream.oldest_age_seconds)
            for gauge, number in zip(gauges, numbers, strict=True):
                gauge.labels(stream.name, stream.shard).set(number)
