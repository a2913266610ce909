"""Rows a, c and e: batches stored end to end, the CPU of each part, and memory at the peak."""

from dataclasses import dataclass, field

from tests.bench.copy_floor import CopyFloor
from tests.bench.effort import Effort
from tests.bench.figures import Figure, Findings, Target
from tests.bench.ledger import Ledger
from tests.bench.process_costs import costs, peak_mib
from tests.bench.stack import Stack
from tests.bench.wrk import WrkLoad, run_wrk

BATCH = 500
_CONNECTIONS = 8
_OF_FLOOR = {"redis8": 0.60, "valkey": 0.45}
_CPU_US = {"redis8": Target(at_most=50)}
_MEMORY_MIB = 150


@dataclass
class _Rounds:
    floors: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    cpu_us: dict[str, list[float]] = field(default_factory=dict)


def measure_batches(stack: Stack, floor: CopyFloor, effort: Effort, findings: Findings) -> float:
    """Adds the figures; returns the median rate, events a second."""
    ledger, rounds = Ledger(stack), _Rounds()
    _round(stack, ledger, WrkLoad(BATCH, _CONNECTIONS, effort.warm_seconds), findings)
    for _ in range(effort.rounds):
        rounds.floors.append(floor.rate())
        rate, cpu_us = _round(stack, ledger, WrkLoad(BATCH, _CONNECTIONS, effort.seconds), findings)
        rounds.rates.append(rate)
        for part, value in cpu_us.items():
            rounds.cpu_us.setdefault(part, []).append(value)
    target = Target(at_least=_OF_FLOOR[findings.kind])
    rates = Figure("batches of 500, stored end to end", "events/s", rounds.rates, target, rounds.floors)
    findings.figures.append(rates)
    _add_costs(stack, rounds, findings)
    return sorted(rounds.rates)[len(rounds.rates) // 2]


def _round(stack: Stack, ledger: Ledger, load: WrkLoad, findings: Findings) -> tuple[float, dict[str, float]]:
    """One run from the first request to the last stored row: events a second, and CPU µs an event by part."""
    ledger.open_books()
    before = costs(stack.parts)
    seen = run_wrk(load, stack.gateway_url, stack.key, stack.folder)
    outcome = ledger.close_books((seen.requests - seen.refused) * load.batch, load.batch)
    after = costs(stack.parts)
    findings.stored += outcome.stored
    findings.lost += outcome.lost
    if seen.is_bottleneck:
        findings.warnings.append(f"wrk used {seen.cpu_share:.0%} of its threads: the generator is the bottleneck")
    if seen.refused or seen.cut or seen.timeouts:
        told = f"{seen.refused} refused, {seen.cut} cut, {seen.timeouts} timed out"
        findings.warnings.append(f"requests in batches: {told}")
    cpu_us = {part: (after[part] - before[part]) / outcome.stored * 1e6 for part in before}
    return outcome.stored / (outcome.stored_at - seen.began), cpu_us


def _add_costs(stack: Stack, rounds: _Rounds, findings: Findings) -> None:
    for part, values in rounds.cpu_us.items():
        findings.figures.append(Figure(f"CPU per stored event: {part}", "µs", values))
    totals = [sum(values) for values in zip(*rounds.cpu_us.values(), strict=True)]
    figure = Figure("CPU per stored event: in all", "µs", totals, _CPU_US.get(findings.kind, Target()))
    findings.figures.append(figure)


def measure_memory(stack: Stack, findings: Findings) -> None:
    """The most memory each process held until now: called after the peaks."""
    for part, processes in (("gateway", [stack.gateway]), ("processor", stack.processors)):
        peaks = [peak_mib(process.pid) for process in processes]
        figure = Figure(f"memory at peak: {part}", "MiB", peaks, Target(at_most=_MEMORY_MIB))
        findings.figures.append(figure)
