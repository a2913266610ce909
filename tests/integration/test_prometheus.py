"""A real Prometheus scrapes every part of a `weir up` under load, and finds all that alerts and dashboards name."""

import json
import re
import secrets
from collections.abc import Iterator

import httpx2
import pytest

from shared.metric_definitions import EVERY_METRIC
from tests.monitoring import alerts, expressions, selectors
from tests.prometheus_server import PrometheusUnderTest, running_prometheus
from tests.waiting import eventually
from tests.weir_up import WeirUp

BATCHES, BATCH_EVENTS = 10, 1000


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WeirUp]:
    up = WeirUp(
        tmp_path_factory.mktemp("scraped") / "data",
        settings={"WEIR_PROCESSORS": "2", "RATE_LIMIT_REQUESTS_PER_MINUTE": "0"},
    )
    up.start()
    yield up
    up.close()


@pytest.fixture(scope="module")
def prometheus(up: WeirUp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusUnderTest]:
    targets_file = up.data_dir / "metrics-targets.json"
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), targets_file) as prometheus:
        yield prometheus


def events(count: int) -> list[dict[str, object]]:
    """Each of a type of its own."""
    ids = [secrets.token_hex(8) for _ in range(count)]
    return [{"event_id": one, "event_type": f"type.{one}", "payload": {"n": 1}} for one in ids]


def series(address: str) -> set[str]:
    """Names and labels of all that is served, without the values."""
    text = httpx2.get(f"{address}/metrics", timeout=10).text
    return {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}


def processors(up: WeirUp) -> list[str]:
    groups = json.loads((up.data_dir / "metrics-targets.json").read_bytes())
    return [f"http://{group['targets'][0]}" for group in groups if group["labels"]["job"] == "weir-processor"]


def test_prometheus_finds_every_part_and_their_counters_add_up(up: WeirUp, prometheus: PrometheusUnderTest) -> None:
    def all_up() -> bool:
        health = prometheus.health_of_targets()
        return len(health) == 4 and set(health.values()) == {"up"}

    eventually(all_up, within_seconds=40, what="two processors, the gateway and analytics are scraped")
    sent = BATCHES * BATCH_EVENTS
    for _ in range(BATCHES):
        batch = events(BATCH_EVENTS)
        assert up.post(*batch).json()["accepted"] == BATCH_EVENTS
    assert up.post(batch[0]).json()["duplicates"] == 1
    assert up.post({"event_id": "no-event"}).status_code == 422
    up.get("events", limit="1")
    for expression, expected in {
        "sum(weir_gateway_events_accepted_total)": sent,
        "sum(weir_gateway_events_duplicate_total)": 1,
        "sum(weir_gateway_events_rejected_total)": 1,
        "sum(weir_gateway_publish_batch_events_sum)": sent + 1,
        "sum(weir_processor_events_stored_total)": sent,
        "sum(weir_processor_receipt_to_stored_seconds_count)": sent,
        'sum(weir_processor_events_settled_total{stream="events"})': sent,
        'sum(weir_analytics_requests_total{route="/api/v1/events",status="200"})': 1,
        'sum(weir_processors{state="running"})': 2,
        "min(weir_partitions_ahead_days) >= bool 3": 1,
        "count(weir_build_info)": 4,
    }.items():
        eventually(
            lambda e=expression, n=expected: prometheus.value(e) == n,  # type: ignore[misc]
            within_seconds=40, what=f"{expression} is {expected}",
        )  # fmt: skip


def test_prometheus_finds_every_series_that_an_alert_or_a_panel_names(
    up: WeirUp, prometheus: PrometheusUnderTest
) -> None:
    wanted = {selector for _, expression in expressions() for selector in selectors(expression)}
    assert len(wanted) > 60
    missing: set[str] = set()

    def all_there() -> bool:
        missing.clear()
        missing.update(selector for selector in wanted if not prometheus.query(f"count({selector})"))
        return not missing

    try:
        eventually(all_there, within_seconds=40)
    except AssertionError:
        raise AssertionError(f"never seen: {sorted(missing)}") from None
    for _, expression in expressions():
        prometheus.query(expression)  # fails for what Prometheus cannot evaluate


def test_every_series_that_is_scraped_is_documented(up: WeirUp, prometheus: PrometheusUnderTest) -> None:
    scraped = {labels["__name__"] for labels, _ in prometheus.query('group by (__name__) ({job=~"weir-.*"})')}
    of_prometheus = {name for name in scraped if name == "up" or name.startswith(("scrape_", "ALERTS"))}
    documented = {name for metric in EVERY_METRIC for name in metric.series}
    assert scraped - of_prometheus == documented


def test_every_rule_is_evaluated_and_a_healthy_system_raises_no_alarm(
    up: WeirUp, prometheus: PrometheusUnderTest
) -> None:
    def evaluated() -> bool:
        rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
        assert {rule["name"] for rule in rules} == set(alerts())
        return all(rule["health"] == "ok" for rule in rules)

    eventually(evaluated, within_seconds=30, what="all rules are healthy")
    firing = [one["labels"]["alertname"] for one in prometheus.ask("alerts")["alerts"] if one["state"] == "firing"]
    assert firing == []


def test_event_types_and_strange_paths_make_no_new_series(up: WeirUp) -> None:
    with httpx2.Client(timeout=10) as http:

        def stroll() -> None:
            for address in (up.gateway, up.analytics):
                for method in ("GET", "POST", f"X{secrets.token_hex(4)}".upper()):
                    http.request(method, f"{address}/{secrets.token_hex(8)}", headers={"X-API-Key": up.key})

        places = [up.gateway, up.analytics, *processors(up)]
        stroll()
        up.post(*events(10), wait_seconds=20)
        before = {place: series(place) for place in places}
        for _ in range(30):
            stroll()
        for _ in range(BATCHES):
            up.post(*events(BATCH_EVENTS), wait_seconds=20)
        for place in places:
            new = series(place) - before[place]
            assert not [one for one in new if not re.match(r"weir_(processors|stream_)", one)], new
