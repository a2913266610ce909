"""Alerts and dashboards as tests see them: their PromQL, and the selectors in it."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[1] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
RULE_TESTS = DEPLOY / "prometheus" / "alerts.test.yml"
RUNBOOK = DEPLOY / "docs" / "runbook.md"
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))

# What PromQL has of its own in our expressions; any other word must be a metric.
_WORDS = {
    "absent", "and", "by", "count", "histogram_quantile", "increase", "max", "min", "min_over_time", "on", "or", "rate",
    "sum", "time",
}  # fmt: skip


def alerts() -> dict[str, dict[str, Any]]:
    """Every alert, by its name."""
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    found = {rule["alert"]: rule for rule in rules}
    assert len(found) == len(rules), "two alerts have one name"
    return found


def panels() -> list[tuple[str, str]]:
    """Where each query of a dashboard stands, and the query."""
    return [
        (f"{path.stem}: {panel['title']}", target["expr"])
        for path in DASHBOARDS
        for panel in json.loads(path.read_text())["panels"]
        for target in panel["targets"]
    ]


def expressions() -> list[tuple[str, str]]:
    """Every query of every alert and panel, with its place."""
    return [(name, rule["expr"]) for name, rule in alerts().items()] + panels()


def selectors(expression: str) -> set[str]:
    """The selectors of a query, such as `up{job="weir-gateway"}`, without ranges and comparisons."""
    groupings = re.compile(r"\b(by|on)\s*\([^)]*\)")
    bare = groupings.sub("", expression)
    found = set()
    for match in re.finditer(r'"[^"]*"|\[[^\]]*\]|([A-Za-z_:][\w:]*)(\{(?:[^"}]|"[^"]*")*\})?', bare):
        if match[1] and match[1] not in _WORDS:
            found.add(match[1] + (match[2] or ""))
    return found


def name_of(selector: str) -> str:
    return selector.partition("{")[0]
