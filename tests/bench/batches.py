"""Rows a, c and e: batches stored end to end, the CPU of each part, and memory at the peak."""

from statistics import median

from tests.bench.copy_floor import CopyFloor
from tests.bench.disturbance import watched
from tests.bench.effort import Effort
from tests.bench.figures import Figure, Findings, Target
from tests.bench.peak_run import cost_figures, peak_run
from tests.bench.process_costs import peak_mib
from tests.bench.stack import Stack
from tests.bench.wrk import WrkLoad

BATCH = 500
_CONNECTIONS = 8
_OF_FLOOR = {"redis8": Target(at_least=0.60), "valkey": Target(at_least=0.45)}
_CPU_US = {"redis8": Target(at_most=50), "valkey": Target()}
_MEMORY_MIB = Target(at_most=150)


def measure_batches(stack: Stack, floor: CopyFloor, effort: Effort, findings: Findings) -> float:
    """Adds the figures; returns the median rate, events a second."""
    peak_run(stack, WrkLoad(BATCH, _CONNECTIONS, effort.warm_seconds), findings)
    floors, runs = [], []
    for _ in range(effort.rounds):
        with watched(findings, "floor of batches"):
            floors.append(floor.rate())
        runs.append(peak_run(stack, WrkLoad(BATCH, _CONNECTIONS, effort.seconds), findings))
    rates = [run.stored_rate for run in runs]
    findings.figures += [
        Figure("batches of 500, stored end to end", "events/s", rates, _OF_FLOOR[findings.kind], floors),
        Figure("batches of 500, accepted", "events/s", [run.accepted_rate for run in runs]),
        *cost_figures("batches", runs, _CPU_US[findings.kind]),
    ]
    return median(rates)


def measure_memory(stack: Stack, findings: Findings) -> None:
    """The most memory each process held until now: called after the peaks."""
    for part, processes in (("gateway", [stack.gateway]), ("processor", stack.processors)):
        peaks = [peak_mib(process.pid) for process in processes]
        findings.figures.append(Figure(f"memory at peak: {part}", "MiB", peaks, _MEMORY_MIB))
