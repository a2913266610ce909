"""Row b: single events over 32 connections, beside a bare application on the same uvicorn."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import httpx2

from deploy.embedded.child_process import ChildProcess, Launch
from deploy.embedded.local_address import free_port
from deploy.embedded.server_user import ServerUser
from tests.bench.disturbance import watched
from tests.bench.effort import Effort
from tests.bench.figures import Figure, Findings, Target
from tests.bench.peak_run import cost_figures, doubts, peak_run
from tests.bench.stack import Stack
from tests.bench.wrk import WrkLoad, run_wrk

_CONNECTIONS = 32
_OF_FLOOR = Target(at_least=0.25)
_READY_SECONDS = 10.0


def measure_singles(stack: Stack, effort: Effort, findings: Findings) -> float:
    """Adds the figures; returns the median of requests a second."""
    peak_run(stack, WrkLoad(1, _CONNECTIONS, effort.warm_seconds), findings)
    floors, runs = [], []
    for _ in range(effort.rounds):
        floors.append(_bare_rate(stack, effort, findings))
        runs.append(peak_run(stack, WrkLoad(1, _CONNECTIONS, effort.seconds), findings))
    accepted = [run.accepted_rate for run in runs]
    stored = [run.stored_rate for run in runs]
    findings.figures += [
        Figure("single events, accepted", "requests/s", accepted, _OF_FLOOR, floors),
        Figure("single events, stored end to end", "events/s", stored, _OF_FLOOR, floors),
        *cost_figures("singles", runs, Target()),
    ]
    return median(accepted)


def _bare_rate(stack: Stack, effort: Effort, findings: Findings) -> float:
    with _bare_application(stack) as url:
        load = WrkLoad(1, _CONNECTIONS, effort.seconds / 2)
        with watched(findings, "floor of singles"):
            seen = run_wrk(load, url, stack.key, stack.folder)
    findings.warnings += doubts(load, seen)
    return seen.rate


@contextmanager
def _bare_application(stack: Stack) -> Iterator[str]:
    """uvicorn with the loop and HTTP implementation of the gateway, and nothing behind it."""
    port = free_port()
    arguments: list[str | Path] = [sys.executable, "-m", "uvicorn", "tests.bench.bare_app:app", "--port", str(port)]
    options = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--no-server-header"]
    launch = Launch(
        [*arguments, *options],
        ServerUser.ourselves(),
        stack.folder / "bare.log",
        signal.SIGTERM,
        environment={"PYTHONPATH": stack.environment["PYTHONPATH"]},
    )
    process = ChildProcess(launch)
    try:
        url = f"http://127.0.0.1:{port}"
        _await_answer(url)
        yield url
    finally:
        process.stop(signal.SIGTERM, _READY_SECONDS)


def _await_answer(url: str) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            httpx2.get(url)
            return
        except httpx2.TransportError:
            assert time.monotonic() < deadline, "the bare application does not answer"
            time.sleep(0.05)
