"""What the gateway derives from its counts instead of counting twice."""

from ingest_gateway.ingest_paths import BATCH, SINGLE
from ingest_gateway.metrics import GatewayMetrics


def decisions(metrics: GatewayMetrics) -> dict[str, float | None]:
    names = ("admitted", "limited", "busy", "stranger")
    series = "weir_gateway_limiter_decisions_total"
    return {name: metrics.registry.get_sample_value(series, {"decision": name}) for name in names}


def test_decisions_of_the_limiter_begin_at_zero() -> None:
    assert set(decisions(GatewayMetrics()).values()) == {0.0}


def test_every_ingest_request_is_one_decision_but_for_those_without_a_key() -> None:
    metrics = GatewayMetrics()
    for status, times in ((202, 7), (422, 1), (401, 2), (429, 6)):
        for _ in range(times):
            metrics.count_request(SINGLE, status, 0.01)
    metrics.count_request(BATCH, 202, 0.01)
    metrics.count_request("/api/v1/keys/", 200, 0.01)
    metrics.refused["unauthenticated"] += 2
    metrics.refused["rate-limited"] += 6
    metrics.limited, metrics.strangers = 3, 2
    assert decisions(metrics) == {"admitted": 9, "limited": 3, "busy": 1, "stranger": 2}
