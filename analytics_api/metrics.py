"""The analytics API's metrics, as ``shared/metric_definitions.py`` defines them."""

from collections import Counter
from collections.abc import Iterable, Mapping

from analytics_api.replica import Replica
from shared import metric_definitions as definitions
from shared.measured import UNMATCHED
from shared.process_metrics import process_registry
from shared.processor_status import ProcessorState
from shared.reconcile_note import ReconcileNote
from shared.stream_status import StreamStatus


class AnalyticsMetrics:
    """The metrics of one process, on a registry of its own, and what it sees of the streams and the stores."""

    def __init__(self) -> None:
        registry = self.registry = process_registry("analytics")
        self.requests = definitions.ANALYTICS_REQUESTS.counter(registry)
        self.requests.labels("GET", UNMATCHED, 503)  # there from the start, so that the first one is an increase
        self.request_seconds = definitions.ANALYTICS_REQUEST_SECONDS.histogram(registry)
        self.redis_up = definitions.ANALYTICS_REDIS_UP.gauge(registry)
        self.postgresql_up = definitions.ANALYTICS_POSTGRESQL_UP.gauge(registry)
        self._replica_lag = definitions.ANALYTICS_REPLICA_LAG.gauge(registry)
        self._replica_streaming = definitions.ANALYTICS_REPLICA_STREAMING.gauge(registry)
        self._streams = tuple(
            definition.gauge(registry)
            for definition in (
                definitions.STREAM_LENGTH,
                definitions.STREAM_LAG,
                definitions.STREAM_PENDING,
                definitions.STREAM_OLDEST_AGE,
            )
        )
        self._processors = definitions.PROCESSORS.gauge(registry)
        self._partitions_ahead = definitions.PARTITIONS_AHEAD.gauge(registry)
        self._compacted_until = definitions.ROLLUPS_COMPACTED.gauge(registry)
        self._reconciled_at = definitions.RECONCILE_LAST_RUN.gauge(registry)
        self._differences = definitions.RECONCILE_DIFFERENCES.gauge(registry)

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self.requests.labels(method, route, status).inc()
        self.request_seconds.labels(route).observe(seconds)

    def show_streams(self, streams: Iterable[StreamStatus]) -> None:
        """Set the stream gauges. Without streams they vanish: an old number would look like a present one."""
        for gauge in self._streams:
            gauge.clear()
        for stream in streams:
            numbers = (stream.length, stream.lag, stream.pending, stream.oldest_age_seconds)
            for gauge, number in zip(self._streams, numbers, strict=True):
                gauge.labels(stream.name, stream.shard).set(number)

    def show_processors(self, states: Iterable[str] | None) -> None:
        """Set how many processors are in each state; None, when nobody knows, makes them vanish."""
        self._processors.clear()
        if states is not None:
            counts = Counter(states)
            for state in ProcessorState:
                self._processors.labels(state.value).set(counts[state.value])

    def show_reconciliation(self, note: ReconcileNote | None) -> None:
        """Set what the last run of ``weir reconcile`` found; None if there was none."""
        self._reconciled_at.set(note.at if note else 0)
        self._differences.set(note.differences if note else 0)

    def show_tables(self, ahead_days: Mapping[str, int], compacted_until: float) -> None:
        """Set the days that are ready in each table, and how far the coarser rollups are."""
        self.postgresql_up.set(1)
        for table, days in ahead_days.items():
            self._partitions_ahead.labels(table).set(days)
        self._compacted_until.set(compacted_until)

    def show_replica(self, replica: Replica | None) -> None:
        """Set how old what is read may be; None is a primary, which is never old."""
        lag_seconds = 0.0 if replica is None else replica.lag_seconds
        self._replica_lag.set(float("nan") if lag_seconds is None else lag_seconds)
        self._replica_streaming.set(replica is None or replica.streaming)

    def forget_tables(self) -> None:
        """PostgreSQL does not answer: what it told last vanishes."""
        self.postgresql_up.set(0)
        self._partitions_ahead.clear()
        for gauge in (self._compacted_until, self._replica_lag, self._replica_streaming):
            gauge.set(float("nan"))
