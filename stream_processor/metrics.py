"""The processor's metrics: every one with its unit, meaning, and what to do when it looks bad."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from stream_processor.outages import Outages


class ProcessorMetrics:
    """The metrics of one processor process, on a registry of its own; ``stream`` is events, audit or dead."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.settled = self._counter(
            "weir_processor_events_settled_total", "Events (audit records, failed events) committed and acknowledged."
        )
        self.failed = self._counter(
            "weir_processor_events_failed_total", "Events moved to the dead stream. Any: see weir failed list."
        )
        self.redelivered = self._counter(
            "weir_processor_entries_redelivered_total",
            "Entries that an earlier transaction had stored. Many: processors die or hang, or COMMITs lose replies.",
        )
        self.claimed = self._counter(
            "weir_processor_entries_claimed_total",
            "Entries taken over from another consumer. Many: processors die or hang, WEIR_CLAIM_IDLE_SECONDS is short.",
        )
        self.lost = self._counter(
            "weir_processor_events_lost_total",
            "Events that another hand deleted or trimmed. Any: see entries.lost in the log, and who trims.",
        )
        self.outage = self._gauge(
            "weir_processor_outage", "1 while a server is away and the loop waits. See that server.", "server"
        )
        self.standing = self._gauge(
            "weir_processor_standing",
            "Loops that stand still, by stream and state: halted or paused. Any: see weir processors status.",
            "state",
        )
        self.outages = Outages(self.outage, self.standing)
        self.batch_seconds = self._histogram(
            "weir_processor_batch_duration_seconds",
            "Time to write one batch, up to COMMIT. High: PostgreSQL is slow; see its disk and locks.",
            (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
        )
        self.batch_events = self._histogram(
            "weir_processor_batch_events",
            "Events a batch. Always at the limit: the processor is behind; add processors.",
            (1, 10, 50, 100, 500, 1000, 2000, 5000, 10000, 20000),
        )

    def _counter(self, name: str, about: str) -> Counter:
        return Counter(name, about, ["stream"], registry=self.registry)

    def _gauge(self, name: str, about: str, label: str) -> Gauge:
        return Gauge(name, about, ["stream", label], registry=self.registry)

    def _histogram(self, name: str, about: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, about, ["stream"], buckets=buckets, registry=self.registry)
