"""One run at full speed, from the first request to the last stored row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.bench.disturbance import watched
from tests.bench.figures import Figure, Findings, Target
from tests.bench.ledger import Ledger
from tests.bench.process_costs import costs
from tests.bench.stack import Stack
from tests.bench.wrk import WrkLoad, WrkResult, run_wrk


@dataclass(frozen=True)
class PeakRun:
    """Rates in events a second, and CPU µs by part for each stored event."""

    accepted_rate: float
    stored_rate: float
    cpu_us: Mapping[str, float]
    generator_us: float


def peak_run(stack: Stack, load: WrkLoad, findings: Findings) -> PeakRun:
    """Runs the load into empty tables; counts what was stored and lost, and notes what makes the figures doubtful."""
    ledger = Ledger(stack)
    ledger.open_books()
    before = costs(stack.parts)
    with watched(findings, "batches" if load.batch > 1 else "singles"):
        seen = run_wrk(load, stack.gateway_url, stack.key, stack.folder)
        outcome = ledger.close_books((seen.requests - seen.refused) * load.batch, load.batch)
    after = costs(stack.parts)
    findings.stored += outcome.stored
    findings.lost += outcome.lost
    findings.warnings += doubts(load, seen)
    return PeakRun(
        seen.rate * load.batch,
        outcome.stored / (outcome.stored_at - seen.began),
        {part: (after[part] - before[part]) / outcome.stored * 1e6 for part in before},
        seen.cpu_share * load.threads * seen.seconds / outcome.stored * 1e6,
    )


def cost_figures(kind: str, runs: Sequence[PeakRun], in_all: Target) -> list[Figure]:
    """CPU of each part, of all parts together, and of the generator, which shares the machine with them."""
    figures = [
        Figure(f"CPU per stored event, {kind}: {part}", "µs", [run.cpu_us[part] for run in runs])
        for part in runs[0].cpu_us
    ]
    totals = [sum(run.cpu_us.values()) for run in runs]
    figures.append(Figure(f"CPU per stored event, {kind}: in all", "µs", totals, in_all))
    generator = [run.generator_us for run in runs]
    figures.append(Figure(f"CPU per event, {kind}: generator", "µs", generator, note="not among all"))
    return figures


def doubts(load: WrkLoad, seen: WrkResult) -> list[str]:
    """What makes the figures of a run doubtful, for the reader of the report."""
    kind = "batches" if load.batch > 1 else "singles"
    found = []
    if seen.is_bottleneck:
        found.append(f"{kind}: wrk used {seen.cpu_share:.0%} of its threads: the generator is the bottleneck")
    if seen.refused or seen.cut or seen.timeouts:
        found.append(f"{kind}: {seen.refused} requests refused, {seen.cut} cut, {seen.timeouts} timed out")
    return found
