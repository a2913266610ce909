"""What a metric is: its definition, and the forms in which prometheus_client takes it.

Two kinds of holders use a definition. Where many threads count, instruments of prometheus_client do (``counter``,
``gauge``, ``histogram``). Where a count must cost no more than an addition, plain numbers are turned into families when
Prometheus asks (``counter_family`` and its like).
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily


class MetricKind(StrEnum):
    """How a metric's value moves."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """One metric. ``remedy`` says what to do, or where to look, when it looks bad."""

    exposed_by: str
    """The processes that serve it."""
    kind: MetricKind
    name: str
    unit: str
    labels: tuple[str, ...]
    meaning: str
    remedy: str
    buckets: tuple[float, ...] = ()

    @property
    def help(self) -> str:
        """Meaning and remedy, as Prometheus shows them."""
        return f"{self.meaning} {self.remedy}".strip()

    @property
    def series(self) -> tuple[str, ...]:
        """The names under which Prometheus stores it."""
        if self.kind is not MetricKind.HISTOGRAM:
            return (self.name,)
        return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))

    def counter(self, registry: CollectorRegistry) -> Counter:
        """An instrument of the registry's."""
        return Counter(self.name, self.help, self.labels, registry=registry)

    def gauge(self, registry: CollectorRegistry) -> Gauge:
        """An instrument of the registry's."""
        return Gauge(self.name, self.help, self.labels, registry=registry)

    def histogram(self, registry: CollectorRegistry) -> Histogram:
        """An instrument of the registry's."""
        return Histogram(self.name, self.help, self.labels, buckets=self.buckets, registry=registry)

    def counter_family(self, value: float | None = None) -> CounterMetricFamily:
        """A family to yield when asked; ``value`` for one without labels."""
        name = self.name.removesuffix("_total")
        return CounterMetricFamily(name, self.help, value=value, labels=self.labels or None)

    def gauge_family(self, value: float | None = None) -> GaugeMetricFamily:
        """The same for a gauge."""
        return GaugeMetricFamily(self.name, self.help, value=value, labels=self.labels or None)

    def histogram_family(self) -> HistogramMetricFamily:
        """The same for a histogram; ``Distribution.add_to`` fills it."""
        return HistogramMetricFamily(self.name, self.help, labels=self.labels)

    def distribution(self) -> "Distribution":
        """Plain numbers for a histogram of this kind."""
        return Distribution(self.buckets)


class Distribution:
    """How often a value fell into each bucket; the last one has no upper bound. Not safe for several threads."""

    __slots__ = ("bounds", "counts", "sum")

    @staticmethod
    def sum_of(distributions: Sequence["Distribution"]) -> "Distribution":
        """All of them, which have the same bounds, in one."""
        total = Distribution(distributions[0].bounds)
        for each in distributions:
            total.counts = [mine + theirs for mine, theirs in zip(total.counts, each.counts, strict=True)]
            total.sum += each.sum
        return total

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float, times: int = 1) -> None:
        """Count a value that was seen so many times."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times

    @property
    def times(self) -> int:
        """How many values were counted."""
        return sum(self.counts)

    def add_to(self, family: HistogramMetricFamily, *labels: str) -> None:
        """Write it into a family, in Prometheus' running totals."""
        total, buckets = 0, []
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        family.add_metric(labels, buckets, self.sum)
