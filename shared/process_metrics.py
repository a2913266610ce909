"""What every process tells of itself, and of its pool of PostgreSQL connections."""

import platform
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from psycopg_pool import AsyncConnectionPool

from shared import metric_definitions as definitions


def process_registry(service: str) -> CollectorRegistry:
    """A registry of a process's own, with its build and what the system knows of it."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter and histogram, which says when the process began
    registry = CollectorRegistry()
    definitions.BUILD_INFO.gauge(registry).labels(service, version("weir-events"), platform.python_version()).set(1)
    ProcessCollector(registry=registry)
    return registry


class PoolMetrics(Collector):
    """A pool's own statistics, read when Prometheus asks."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        stats = self._pool.get_stats()
        for definition, name in (
            (definitions.POOL_CONNECTIONS, "pool_size"),
            (definitions.POOL_IDLE, "pool_available"),
            (definitions.POOL_MAX, "pool_max"),
            (definitions.POOL_WAITING, "requests_waiting"),
        ):
            yield definition.gauge_family(stats.get(name, 0))
        for definition, name in (
            (definitions.POOL_REQUESTS, "requests_num"),
            (definitions.POOL_ERRORS, "requests_errors"),
            (definitions.POOL_CONNECTION_ERRORS, "connections_errors"),
        ):
            yield definition.counter_family(stats.get(name, 0))
        yield definitions.POOL_WAIT.counter_family(stats.get("requests_wait_ms", 0) / 1000)
