"""The reference of all metrics as a Markdown page: `python -m deploy.metric_reference > deploy/docs/metrics.md`."""

from itertools import groupby

from shared.metric import MetricDefinition
from shared.metric_definitions import EVERY_METRIC

_HEAD = """\
# Metrics

Prometheus' text format, without a key: the gateway and the analytics API serve `/metrics` on their own ports, each
processor on a port of its own (`WEIR_PROCESSOR_METRICS_PORT`, on `WEIR_PROCESSOR_METRICS_HOST`). Keep them off the
open network, as you would any `/metrics`.

- **`weir up`** gives each processor a port and writes all places to `metrics-targets.json` in its data directory, anew
  whenever their number changes; from the top of the repository, `prometheus --config.file=deploy/prometheus/local.yml`
  reads it there. `weir processors supervise` does the same in `metrics-targets-supervised.json`.
- **`docker compose up`** brings Prometheus (127.0.0.1:9090) and Grafana (127.0.0.1:3000, user `admin`, password
  `GRAFANA_PASSWORD` of `.env`) with the alert rules of `deploy/prometheus/alerts.yml` and four dashboards. No
  Alertmanager comes with it: name yours in `deploy/prometheus/prometheus.yml`.
- **One process, one target.** Each process counts for itself, and `sum` adds them up. A service is one uvicorn process;
  for more, start more of them, each on a port of its own: there is no mode with several workers behind one port, so
  none whose `/metrics` shows one worker at random.
- What analytics says of streams, processors, partitions and reconciliation is about the whole system: with several
  instances of it take `max`, not `sum`.
- Counters begin at 0 with their process, and count what that process did. What must add up exactly is proved by
  `weir reconcile`, not by counters.
- Labels are names of streams, servers, states and routes. No label ever holds an id, a key, a client or an event type,
  so the number of series does not grow with traffic.
- What to do when an alert fires: [runbook.md](runbook.md).

The job names the rules and dashboards expect: `weir-gateway`, `weir-processor`, `weir-analytics`.
This list is printed by `python -m deploy.metric_reference`.
"""


def metrics_reference() -> str:
    """The page, from the definitions."""
    groups = groupby(EVERY_METRIC, key=lambda metric: metric.exposed_by)
    return _HEAD + "".join(_section(title, list(metrics)) for title, metrics in groups)


def _section(exposed_by: str, metrics: list[MetricDefinition]) -> str:
    rows = "".join(f"| {' | '.join(_cells(metric))} |\n" for metric in metrics)
    return f"\n## Served by {exposed_by}\n\n| metric | type, unit | labels | what it says |\n|---|---|---|---|\n{rows}"


def _cells(metric: MetricDefinition) -> tuple[str, str, str, str]:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"`{metric.name}`", f"{metric.kind}, {metric.unit}", labels, metric.help


if __name__ == "__main__":
    print(metrics_reference(), end="")  # noqa: T201  its one purpose
