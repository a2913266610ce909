"""What is exposed is documented, what is documented is exposed, and no alert or panel names anything else."""

import re
from collections.abc import Iterator

import pytest
import redis.asyncio
from prometheus_client import CollectorRegistry
from psycopg_pool import AsyncConnectionPool

from analytics_api.metrics import AnalyticsMetrics
from deploy.grafana.__main__ import rendered
from deploy.grafana.boards import DASHBOARDS as BOARDS
from deploy.metric_reference import metrics_reference
from ingest_gateway.metrics import GatewayMetrics, register_state
from ingest_gateway.publisher import Publisher
from ingest_gateway.redis_memory import RedisMemory
from shared.metric import MetricDefinition
from shared.metric_definitions import EVERY_METRIC
from shared.process_metrics import PoolMetrics
from stream_processor.metrics import ProcessorMetrics
from tests.monitoring import DASHBOARDS, DEPLOY, RULE_TESTS, RUNBOOK, alerts, expressions, name_of, selectors
from tests.publishing import config


def unopened_pool() -> AsyncConnectionPool:
    return AsyncConnectionPool("", min_size=1, max_size=4, open=False)


def gateway_registry() -> CollectorRegistry:
    client = redis.asyncio.Redis()
    metrics, memory = GatewayMetrics(), RedisMemory(client, 0)
    register_state(metrics, config(), unopened_pool(), [memory], [Publisher(client, config(), 0, memory)])
    return metrics.registry


def analytics_registry() -> CollectorRegistry:
    metrics = AnalyticsMetrics()
    metrics.registry.register(PoolMetrics(unopened_pool()))
    return metrics.registry


REGISTRIES = {
    "gateway": gateway_registry,
    "processor": lambda: ProcessorMetrics().registry,
    "analytics": analytics_registry,
}


def exposed(registry: CollectorRegistry) -> Iterator[tuple[str, str]]:
    """Name, as the definitions write it, and type of each metric."""
    for family in registry.collect():
        yield family.name + ("_total" if family.type == "counter" else ""), family.type


def defined(service: str) -> set[tuple[str, str]]:
    served = [metric for metric in EVERY_METRIC if metric.exposed_by == "every process" or service in metric.exposed_by]
    return {(metric.name, metric.kind.value) for metric in served}


@pytest.mark.parametrize("service", REGISTRIES)
def test_a_service_exposes_what_is_defined_for_it_and_nothing_else(service: str) -> None:
    assert set(exposed(REGISTRIES[service]())) == defined(service)


def test_the_reference_is_what_the_command_prints() -> None:
    page = (DEPLOY / "docs" / "metrics.md").read_text()
    assert page == metrics_reference(), "run: python -m deploy.metric_reference > deploy/docs/metrics.md"


@pytest.mark.parametrize("metric", EVERY_METRIC, ids=lambda metric: metric.name)
def test_a_metric_is_named_by_convention_and_says_what_it_means(metric: MetricDefinition) -> None:
    assert re.fullmatch(r"(weir|process)_[a-z_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert not re.search(r"_(ms|millis|minutes|kb|mb|percent)\b", metric.name)
    if metric.unit in {"seconds", "bytes"}:
        assert metric.name.removesuffix("_total").endswith(f"_{metric.unit}")
    assert metric.meaning.endswith(".")
    assert "|" not in metric.help


def test_no_two_metrics_have_one_name() -> None:
    assert len({metric.name for metric in EVERY_METRIC}) == len(EVERY_METRIC)


@pytest.mark.parametrize(("place", "expression"), expressions(), ids=lambda text: text[:50])
def test_alerts_and_panels_name_nothing_that_is_not_exposed(place: str, expression: str) -> None:
    series = {name for metric in EVERY_METRIC for name in metric.series} | {"up"}
    assert {name_of(selector) for selector in selectors(expression)} <= series, place


@pytest.mark.parametrize("name", alerts())
def test_an_alert_says_how_bad_it_is_what_is_wrong_and_where_to_read_on(name: str) -> None:
    rule = alerts()[name]
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["annotations"]["runbook_url"] == f"deploy/docs/runbook.md#{name.lower()}"
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"].endswith(".")


@pytest.mark.parametrize("name", alerts())
def test_an_alert_has_a_unit_test_in_which_it_fires(name: str) -> None:
    text = RULE_TESTS.read_text()
    assert f'alertname="{name}",alertstate="firing"' in text or f"alertname: {name}\n" in text


def test_every_alert_has_its_runbook_entry_and_every_entry_its_alert() -> None:
    entries = re.split(r"^## ", RUNBOOK.read_text(), flags=re.MULTILINE)[1:]
    assert [entry.partition("\n")[0] for entry in entries if entry.startswith("Weir")] == list(alerts())
    for entry in entries:
        assert all(part in entry for part in ("**What it means.**", "**Look at.**", "**Do.**")), entry[:80]


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_is_what_its_description_makes(name: str) -> None:
    path = DEPLOY / "grafana" / "dashboards" / f"{name}.json"
    assert path in DASHBOARDS
    assert path.read_text() == rendered(BOARDS[name]), "run: python -m deploy.grafana"


@pytest.mark.parametrize("name", BOARDS)
def test_the_panels_of_a_dashboard_do_not_overlap(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARDS[name]["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
