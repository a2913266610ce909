"""The gateway's metrics: every one with its unit, meaning, and what to do when it looks bad.

Plain numbers that are turned into Prometheus' form when it asks: on the path of a request a counter costs an addition.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

BUCKETS_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)


class _Durations:
    """How long the requests of one route took, in buckets; the last one has no upper bound."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_SECONDS) + 1)
        self.seconds = 0.0


class GatewayMetrics(Collector):
    """The metrics of one gateway process, on a registry of its own. Used from one event loop."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self.accepted = 0
        self.duplicates = 0
        self.active = 0
        self._requests: Counter[tuple[str, int]] = Counter()
        self._durations: dict[str, _Durations] = {}

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count an answered ingest request."""
        self._requests[route, status] += 1
        durations = self._durations.get(route)
        if durations is None:
            durations = self._durations[route] = _Durations()
        durations.counts[bisect_left(BUCKETS_SECONDS, seconds)] += 1
        durations.seconds += seconds

    def collect(self) -> Iterator[Metric]:
        """All of them, as Prometheus takes them."""
        yield CounterMetricFamily(
            "weir_gateway_events_accepted", "Events put into Redis, by this process.", value=self.accepted
        )
        yield CounterMetricFamily(
            "weir_gateway_events_duplicate",
            "Events the early filter knew. Many: a producer repeats itself; see its time-outs.",
            value=self.duplicates,
        )
        yield GaugeMetricFamily(
            "weir_gateway_requests_active", "Ingest requests being served at this moment.", value=self.active
        )
        yield self._request_counts()
        yield self._request_durations()

    def _request_counts(self) -> Metric:
        family = CounterMetricFamily(
            "weir_gateway_requests",
            "Ingest requests answered, by route and status. Many 503: see Redis and the backlog.",
            labels=["route", "status"],
        )
        for (route, status), count in self._requests.items():
            family.add_metric([route, str(status)], count)
        return family

    def _request_durations(self) -> Metric:
        family = HistogramMetricFamily(
            "weir_gateway_request_duration_seconds",
            "Time from an ingest request's head to its answer, by route. High: Redis is slow or the CPU is full.",
            labels=["route"],
        )
        for route, durations in self._durations.items():
            total, buckets = 0, []
            for bound, count in zip((*map(str, BUCKETS_SECONDS), "+Inf"), durations.counts, strict=True):
                total += count
                buckets.append((bound, float(total)))
            family.add_metric([route], buckets, durations.seconds)
        return family
