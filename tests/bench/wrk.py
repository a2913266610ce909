"""wrk as the load generator: C and LuaJIT, a few microseconds a request."""

import json
import resource
import secrets
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench.bench_events import tails_file

_SCRIPT = Path(__file__).with_name("wrk_events.lua")
_BUSY = 0.8


@dataclass(frozen=True)
class WrkLoad:
    """What wrk does: `batch` events a request over `connections`, for `seconds`."""

    batch: int
    connections: int
    seconds: float
    threads: int = 1


@dataclass(frozen=True)
class WrkResult:
    """What wrk saw. `requests` were answered; `refused` of them with a status of 400 or more."""

    requests: int
    seconds: float
    refused: int
    cut: int
    timeouts: int
    p50_ms: float
    p99_ms: float
    cpu_share: float
    """CPU of wrk a second, of the threads it had."""
    began: float
    """`time.perf_counter` before the first request."""

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    @property
    def is_bottleneck(self) -> bool:
        """Whether the generator, not what it measures, was at its limit."""
        return self.cpu_share > _BUSY


def run_wrk(load: WrkLoad, url: str, key: str, folder: Path) -> WrkResult:
    """Runs wrk to its end. Blocking. Raises CalledProcessError when wrk cannot run."""
    path = "/api/v1/events/ingest" if load.batch == 1 else "/api/v1/events/batch"
    prefix = f"b{secrets.token_hex(4)}"
    program = ["wrk", "-t", str(load.threads), "-c", str(load.connections), "-d", f"{load.seconds:.0f}s"]
    script = ["--timeout", "30s", "-s", str(_SCRIPT), url, "--", str(tails_file(folder)), prefix, str(load.batch)]
    before, began = _children_cpu(), time.perf_counter()
    done = subprocess.run([*program, *script, path, key], capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - began
    document = json.loads(done.stdout.splitlines()[-1])
    share = (_children_cpu() - before) / seconds / load.threads
    return WrkResult(**document, cpu_share=share, began=began)


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
