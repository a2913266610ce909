"""The processor's metrics, as ``shared/metric_definitions.py`` defines them."""

import threading
import time
from collections.abc import Iterator
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from shared import metric_definitions as definitions
from shared.process_metrics import process_registry
from stream_processor.maintenance_metrics import MaintenanceMetrics
from stream_processor.outages import Outages
from stream_processor.rollups import RollupAdditions

STREAMS: Final = ("events", "audit", "dead")
SERVERS: Final = ("redis", "postgresql")
STANDING: Final = ("halted", "paused")


class ProcessorMetrics:
    """The metrics of one processor process, on a registry of its own; ``stream`` is one of STREAMS."""

    def __init__(self) -> None:
        registry = self.registry = process_registry("processor")
        self.settled = definitions.PROCESSOR_SETTLED.counter(registry)
        self.failed = definitions.PROCESSOR_FAILED.counter(registry)
        self.retried = definitions.PROCESSOR_RETRIED.counter(registry)
        self.retries = definitions.PROCESSOR_RETRIES.counter(registry)
        self.redelivered = definitions.PROCESSOR_REDELIVERED.counter(registry)
        self.claimed = definitions.PROCESSOR_CLAIMED.counter(registry)
        self.lost = definitions.PROCESSOR_LOST.counter(registry)
        self.outage = definitions.PROCESSOR_OUTAGE.gauge(registry)
        self.standing = definitions.PROCESSOR_STANDING.gauge(registry)
        self.outages = Outages(self.outage, self.standing, retries=self.retries)
        self.batch_seconds = definitions.PROCESSOR_BATCH_SECONDS.histogram(registry)
        self.batch_events = definitions.PROCESSOR_BATCH_EVENTS.histogram(registry)
        self.upkeep_at = definitions.PROCESSOR_UPKEEP.gauge(registry)
        self.maintenance = MaintenanceMetrics(registry)
        self.stored = StoredEvents()
        registry.register(self.stored)
        self._show_zeros()

    def _show_zeros(self) -> None:
        """Let every series be there from the start: one that appears with its first failure shows no increase."""
        by_stream = (self.settled, self.failed, self.redelivered, self.claimed, self.lost)
        for stream in STREAMS:
            for counter in by_stream:
                counter.labels(stream)
            self.batch_seconds.labels(stream)
            self.batch_events.labels(stream)
            for server in SERVERS:
                self.outage.labels(stream, server)
                self.retries.labels(stream, server)
            for state in STANDING:
                self.standing.labels(stream, state)


class StoredEvents(Collector):
    """What became of events, counted a batch at a time after its COMMIT; safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stored = self._duplicates = self._conflicting = 0
        self._waits = definitions.PROCESSOR_RECEIPT_TO_STORED.distribution()

    def count(self, additions: RollupAdditions) -> None:
        """Count what a committed transaction has added to the rollups. Costs a step a request, not an event."""
        now_us = time.time_ns() // 1000
        with self._lock:
            for counts in additions.intake.values():
                self._stored += counts.stored
                self._duplicates += max(counts.duplicates, 0)
                self._conflicting += counts.conflicting
            for receipts in additions.waits.values():
                for received_us, events in receipts.items():
                    self._waits.add(max(now_us - received_us, 0) / 1e6, events)

    def collect(self) -> Iterator[Metric]:
        """All of them, as Prometheus takes them."""
        with self._lock:
            yield definitions.PROCESSOR_STORED.counter_family(self._stored)
            yield definitions.PROCESSOR_DUPLICATE.counter_family(self._duplicates)
            yield definitions.PROCESSOR_CONFLICTING.counter_family(self._conflicting)
            waits = definitions.PROCESSOR_RECEIPT_TO_STORED.histogram_family()
            self._waits.add_to(waits)
            yield waits
