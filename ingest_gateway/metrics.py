"""The gateway's metrics, as ``shared/metric_definitions.py`` defines them.

Plain numbers that are turned into Prometheus' form when it asks: on the path of a request a counter costs an addition.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from psycopg_pool import AsyncConnectionPool

from ingest_gateway.config import GatewayConfig
from ingest_gateway.ingest_paths import BATCH, PATHS, SINGLE
from ingest_gateway.publisher import Publisher
from ingest_gateway.redis_memory import RedisMemory
from shared import metric_definitions as definitions
from shared.metric import Distribution
from shared.process_metrics import PoolMetrics, process_registry

_BOUNDS: Final = definitions.GATEWAY_REQUEST_SECONDS.buckets
_USUAL_STATUSES: Final = (202, 401, 422, 429, 503)
"""Shown from the start, so that the first of them is seen as an increase."""


class GatewayMetrics(Collector):
    """What one gateway process counts, on a registry of its own. Used from one event loop."""

    def __init__(self) -> None:
        self.registry = process_registry("gateway")
        self.registry.register(self)
        self.accepted = 0
        self.duplicates = 0
        self.rejected = 0
        """Invalid events of batches; those sent singly are known by their status."""
        self.limited = 0
        self.strangers = 0
        self.active = 0
        self.refused = Counter(dict.fromkeys(("unauthenticated", "invalid-event", "rate-limited", "unavailable"), 0))
        """Ingest requests by problem type."""
        self._requests = Counter({(route, status): 0 for route in (SINGLE, BATCH) for status in _USUAL_STATUSES})
        self._durations = {route: definitions.GATEWAY_REQUEST_SECONDS.distribution() for route in (SINGLE, BATCH)}

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request. ``route`` is a template or a fixed word."""
        self._requests[route, status] += 1
        durations = self._durations.get(route)
        if durations is None:
            durations = self._durations[route] = definitions.GATEWAY_REQUEST_SECONDS.distribution()
        durations.counts[bisect_left(_BOUNDS, seconds)] += 1  # Distribution.add, without the call: once a request
        durations.sum += seconds

    def collect(self) -> Iterator[Metric]:
        """All of them, as Prometheus takes them."""
        yield definitions.GATEWAY_ACCEPTED.counter_family(self.accepted)
        yield definitions.GATEWAY_DUPLICATE.counter_family(self.duplicates)
        yield definitions.GATEWAY_REJECTED.counter_family(self.rejected + self._requests[SINGLE, 422])
        yield definitions.GATEWAY_ACTIVE.gauge_family(self.active)
        requests = definitions.GATEWAY_REQUESTS.counter_family()
        for (route, status), count in self._requests.items():
            requests.add_metric([route, str(status)], count)
        yield requests
        durations = definitions.GATEWAY_REQUEST_SECONDS.histogram_family()
        for route, distribution in self._durations.items():
            distribution.add_to(durations, route)
        yield durations
        refused = definitions.GATEWAY_REFUSED.counter_family()
        for problem, count in self.refused.items():
            refused.add_metric([problem], count)
        yield refused
        yield self._decisions()

    def _decisions(self) -> Metric:
        """Derived where it can be: a request that is admitted costs nothing to count twice."""
        turned_away = self.refused["rate-limited"]
        asked = sum(count for (route, _), count in self._requests.items() if route in PATHS)
        family = definitions.GATEWAY_LIMITER.counter_family()
        for decision, count in (
            ("admitted", asked - self.refused["unauthenticated"] - turned_away),
            ("limited", self.limited),
            ("busy", turned_away - self.limited - self.strangers),
            ("stranger", self.strangers),
        ):
            family.add_metric([decision], max(count, 0))
        return family


class GatewayState(Collector):
    """What the parts of a gateway know anyway, read when Prometheus asks."""

    def __init__(self, config: GatewayConfig, memories: Sequence[RedisMemory], publishers: Sequence[Publisher]) -> None:
        self._config = config
        self._memories = memories
        self._publishers = publishers

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        memory = max(self._memories, key=lambda one: one.share)
        yield definitions.GATEWAY_CONCURRENCY_LIMIT.gauge_family(self._config.max_concurrency)
        yield definitions.GATEWAY_BACKLOG_LIMIT.gauge_family(self._config.backlog_limit_events)
        yield definitions.GATEWAY_REDIS_UP.gauge_family(all(one.is_reachable for one in self._memories))
        yield definitions.GATEWAY_REDIS_USED.gauge_family(memory.used_bytes)
        yield definitions.GATEWAY_REDIS_LIMIT.gauge_family(memory.limit_bytes)
        yield definitions.GATEWAY_REDIS_MAX.gauge_family(memory.max_bytes)
        waiting = [publisher.waiting for publisher in self._publishers]
        yield definitions.GATEWAY_PUBLISH_WAITING.gauge_family(sum(requests for requests, _ in waiting))
        yield definitions.GATEWAY_PUBLISH_WAITING_BYTES.gauge_family(sum(size for _, size in waiting))
        yield from self._calls()

    def _calls(self) -> Iterator[Metric]:
        calls = [publisher.calls for publisher in self._publishers]
        outcomes = definitions.GATEWAY_PUBLISH_CALLS.counter_family()
        outcomes.add_metric(["done"], sum(each.seconds.times for each in calls))
        outcomes.add_metric(["failed"], sum(each.failed for each in calls))
        yield outcomes
        for definition, distributions in (
            (definitions.GATEWAY_PUBLISH_SECONDS, [each.seconds for each in calls]),
            (definitions.GATEWAY_PUBLISH_EVENTS, [each.events for each in calls]),
        ):
            family = definition.histogram_family()
            Distribution.sum_of(distributions).add_to(family)
            yield family


def register_state(
    metrics: GatewayMetrics,
    config: GatewayConfig,
    pool: AsyncConnectionPool[Any],
    memories: Sequence[RedisMemory],
    publishers: Sequence[Publisher],
) -> None:
    """Let the parts' own numbers be served with those that are counted."""
    metrics.registry.register(GatewayState(config, memories, publishers))
    metrics.registry.register(PoolMetrics(pool))
