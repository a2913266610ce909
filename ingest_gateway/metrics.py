"""The gateway's metrics: every one with its unit, meaning, and what to do when it looks bad."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class GatewayMetrics:
    """The metrics of one gateway process, on a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.accepted = Counter(
            "weir_gateway_events_accepted_total", "Events put into Redis, by this process.", registry=self.registry
        )
        self.duplicates = Counter(
            "weir_gateway_events_duplicate_total",
            "Events the early filter knew. Many: a producer repeats itself; see its time-outs.",
            registry=self.registry,
        )
        self.requests = Counter(
            "weir_gateway_requests_total",
            "Ingest requests answered, by route and status. Many 503: see Redis and the backlog.",
            ["route", "status"],
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "weir_gateway_request_duration_seconds",
            "Time from an ingest request's head to its answer, by route. High: Redis is slow or the CPU is full.",
            ["route"],
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30),
            registry=self.registry,
        )
        self.active = Gauge(
            "weir_gateway_requests_active", "Ingest requests being served at this moment.", registry=self.registry
        )
