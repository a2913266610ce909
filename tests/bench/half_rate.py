"""Row d: at half the peak rate, how soon an accepted event can be queried, and how soon the gateway answers."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.bench.batches import BATCH
from tests.bench.disturbance import watched
from tests.bench.effort import Effort
from tests.bench.figures import Figure, Findings, Target
from tests.bench.ledger import Ledger
from tests.bench.stack import Stack
from tests.bench.visibility import VisibilityProbe

_CLI = "from deploy.cli import main; main()"
_QUERYABLE_P50_MS, _QUERYABLE_P99_MS = 60, 400
_RESPONSE_P99_MS = 20
_BATCH_CONNECTIONS, _SINGLE_CONNECTIONS = 8, 64


def measure_queryable(stack: Stack, peak: float, effort: Effort, findings: Findings) -> None:
    """Batches at half the peak: by the rows' own times, and by asking for ids until they are there."""
    probe = VisibilityProbe(stack)
    medians, slowest, seen_medians, seen_slowest = [], [], [], []
    for _ in range(effort.rounds):
        Ledger(stack).open_books()
        with _running(probe):
            storage = _load(stack, peak / 2, BATCH, _BATCH_CONNECTIONS, effort, findings)["storage_ms"]
        medians.append(storage["p50"])
        slowest.append(storage["p99"])
        seen = sorted(probe.taken())
        seen_medians.append(seen[len(seen) // 2])
        seen_slowest.append(seen[min(len(seen) - 1, len(seen) * 99 // 100)])
    note = f"at {peak / 2:,.0f} events/s, batches of 500"
    p50, p99 = Target(at_most=_QUERYABLE_P50_MS), Target(at_most=_QUERYABLE_P99_MS)
    findings.figures += [
        Figure("accepted to stored: p50", "ms", medians, p50, note=f"{note}; stored_at - received_at"),
        Figure("accepted to stored: p99", "ms", slowest, p99, note=f"{note}; stored_at - received_at"),
        Figure("answered to queryable: p50", "ms", seen_medians, p50, note="a sample of ids, asked for until found"),
        Figure("answered to queryable: p99", "ms", seen_slowest, p99, note="a sample of ids, asked for until found"),
    ]


def measure_response(stack: Stack, peak: float, effort: Effort, findings: Findings) -> None:
    """Single events at half the peak; a response time counts from when the request was due."""
    medians, slowest = [], []
    for _ in range(effort.rounds):
        Ledger(stack).open_books()
        response = _load(stack, peak / 2, 1, _SINGLE_CONNECTIONS, effort, findings)["response_ms"]
        medians.append(response["p50"])
        slowest.append(response["p99"])
    note = f"at {peak / 2:,.0f} requests/s, from the intended time of sending"
    findings.figures += [
        Figure("gateway response, singly: p50", "ms", medians, note=note),
        Figure("gateway response, singly: p99", "ms", slowest, Target(at_most=_RESPONSE_P99_MS), note=note),
    ]


def _load(
    stack: Stack, rate: float, batch: int, connections: int, effort: Effort, findings: Findings
) -> dict[str, dict[str, float]]:
    """`weir load` at a steady rate, in a process of its own; its summary."""
    options = {
        "--rate": f"{rate:.0f}",
        "--seconds": f"{effort.seconds:.0f}",
        "--batch": str(batch),
        "--concurrency": str(connections),
        "--url": stack.gateway_url,
        "--key": stack.key,
        "--payload-bytes": "200",
    }
    arguments = [text for pair in options.items() for text in pair]
    with watched(findings, "half the peak"):
        done = subprocess.run(
            [sys.executable, "-c", _CLI, "load", *arguments, "--json"],
            env={**os.environ, **stack.environment},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.stdout, f"weir load ended with code {done.returncode}: {done.stderr[-500:]}"
    summary = json.loads(done.stdout)
    findings.stored += summary["stored"]
    findings.lost += summary["lost"] + summary["in_flight"]
    _warn(summary, rate, findings)
    return dict(summary)


def _warn(summary: dict[str, float], rate: float, findings: Findings) -> None:
    if summary["generator_cpu_share"] > 0.8:
        findings.warnings.append(
            f"weir load used {summary['generator_cpu_share']:.0%} of a core: it may be what is slow"
        )
    if summary["events_per_second"] < 0.95 * rate:
        told = f"{summary['events_per_second']:,.0f} of {rate:,.0f} events/s"
        findings.warnings.append(f"half the peak was not reached: {told}")
    if summary["failed_requests"] or summary["throttled_requests"]:
        told = f"{summary['failed_requests']} failed, {summary['throttled_requests']} put off"
        findings.warnings.append(f"requests at half the peak: {told}")


@contextmanager
def _running(probe: VisibilityProbe) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=probe.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
