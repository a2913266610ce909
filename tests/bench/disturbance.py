"""Whether somebody else used the machine while it was measured."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.figures import Findings
from tests.bench.process_costs import cpu_seconds

_TICKS = os.sysconf("SC_CLK_TCK")
_SHARE = 0.2
"""Of one core. What others take beyond this moves figures more than most changes do."""


@contextmanager
def watched(findings: Findings, what: str) -> Iterator[None]:
    """Adds a warning when other processes, or the host of this virtual machine, took CPU while the block ran.

    All that is measured descends from this process; what else was busy is somebody else's.
    """
    began, (busy, stolen), own = time.perf_counter(), _machine_cpu(), cpu_seconds(os.getpid())
    yield
    seconds = time.perf_counter() - began
    busy_after, stolen_after = _machine_cpu()
    others = (busy_after - busy - (cpu_seconds(os.getpid()) - own)) / seconds
    host = (stolen_after - stolen) / seconds
    if others > _SHARE:
        findings.warnings.append(f"{what}: other processes used {others:.0%} of a core: not a quiet machine")
    if host > _SHARE:
        findings.warnings.append(f"{what}: the host withheld {host:.0%} of a core (steal)")


def _machine_cpu() -> tuple[float, float]:
    """CPU seconds, ever, of all cores: spent in processes, and withheld by the host.

    Interrupts are left out: the kernel books them on nobody, and ours, of the loopback network, are many.
    """
    fields = [int(field) / _TICKS for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    user, nice, system, _idle, _iowait, _irq, _softirq, steal = fields
    return user + nice + system, steal
