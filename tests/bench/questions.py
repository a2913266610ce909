"""What questions that read events take, and what exports take in memory: `python -m tests.bench.questions --help`.

Events are made by the server itself, 2,222 a client and day, as in 10 million over 90 days and 50 clients; `--days` is
how many such days. Fresh embedded servers; p50 and p95 over `--runs`.
"""

import argparse
import json
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any

from tests.analytics_server import AnalyticsUnderTest
from tests.backends import choose_backend
from tests.bench.machine import machine
from tests.event_fill import fill_events
from tests.export_process import ExportProcess, running_export_process

_START = datetime(2026, 3, 1, tzinfo=UTC)
_A_DAY = 111_111
_CLIENTS = 50
_QUERY = "/api/v1/analytics/query"


def main() -> None:
    """Prints a line a figure, and all of them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=9, help="days of 111,111 events each (default 9: a million)")
    parser.add_argument("--runs", type=int, default=50)
    options = parser.parse_args()
    backend = choose_backend("embedded")
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        for name in ("redis", "postgres", "service"):
            Path(folder, name).mkdir(mode=0o755)
        Path(folder).chmod(0o755)
        with backend.redis(Path(folder, "redis")) as redis, backend.postgres(Path(folder, "postgres")) as postgres:
            _migrate(postgres.url)
            events = options.days * _A_DAY
            fill_events(
                postgres.url, _START, events, payload_bytes=150, days=options.days, clients=_CLIENTS, users=5000
            )
            with running_export_process(postgres.url, redis.url, Path(folder, "service")) as process:
                key = AnalyticsUnderTest(postgres.url, str(process.http.base_url)).admin
                figures = {"machine": machine(), "events": events, "runs": options.runs}
                figures["questions"] = _questions(process, key, options.days, options.runs)
                figures["exports"] = _exports(process, key, options.days)
    print(json.dumps(figures, ensure_ascii=False))


def _migrate(url: str) -> None:
    from deploy.migrations import migrate

    migrate(url)


def _range(first: int, days: int) -> dict[str, str]:
    start = _START + timedelta(days=first)
    return {"from": start.isoformat(), "to": (start + timedelta(days=days)).isoformat()}


def _questions(process: ExportProcess, key: str, days: int, runs: int) -> dict[str, Any]:
    of_client, user, amount = {"client_id": "acme7"}, "payload.user_id", "payload.amount"
    middle = days // 2
    steps = [{"event_type": "type.7"}, {"event_type": "type.17"}, {"event_type": "type.27"}]
    asked: dict[str, tuple[str, dict[str, Any]]] = {
        "uniques, a client, a day": (_QUERY, _range(middle, 1) | of_client | {"count_unique": user}),
        "sum and p95 by type, a client, a day": (
            _QUERY,
            _range(middle, 1) | of_client | {"sum": amount, "p95": amount, "group_by": "event_type"},
        ),
        "uniques, a client, all days": (_QUERY, _range(0, days) | of_client | {"count_unique": user}),
        "uniques, all clients, a day": (_QUERY, _range(middle, 1) | {"count_unique": user}),
        "top 10 of a field, a client, all days": (
            _QUERY, _range(0, days) | of_client | {"group_by": [user], "top": 10},
        ),
        "funnel of 3, a client, all days": (
            "/api/v1/analytics/funnel", _range(0, days) | of_client | {"by": user, "steps": steps},
        ),
        "retention by day, a client, all days": (
            "/api/v1/analytics/retention", _range(0, days) | of_client | {"by": user},
        ),
    }  # fmt: skip
    return {name: _timed(process, key, path, body, name, runs) for name, (path, body) in asked.items()}


def _timed(process: ExportProcess, key: str, path: str, body: dict[str, Any], name: str, runs: int) -> dict[str, float]:
    taken_ms = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        answer = process.http.post(path, json=body, headers={"X-API-Key": key})
        taken_ms.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, answer.text
    cuts = quantiles(taken_ms[1:], n=20)
    figures = {"p50_ms": round(cuts[9], 1), "p95_ms": round(cuts[18], 1)}
    print(f"{name}: p50 {figures['p50_ms']} ms, p95 {figures['p95_ms']} ms", flush=True)
    return figures


def _exports(process: ExportProcess, key: str, days: int) -> dict[str, Any]:
    found = {}
    for format_ in ("ndjson", "csv", "parquet"):
        small = {"format": format_, "from": _START.isoformat(), "to": (_START + timedelta(minutes=5)).isoformat()}
        process.exported_bytes(key, small)
        before, began = process.resident_bytes(), time.perf_counter()
        size = process.exported_bytes(key, _range(0, days) | {"format": format_})
        seconds = time.perf_counter() - began
        grown = process.resident_bytes("VmHWM") - before
        found[format_] = {
            "seconds": round(seconds, 1), "megabytes": round(size / 1e6, 1),
            "events_per_second": round(days * _A_DAY / seconds), "most_grown_megabytes": round(grown / 1e6, 1),
        }  # fmt: skip
        print(f"export as {format_}: {found[format_]}", flush=True)
    return found


if __name__ == "__main__":
    main()
