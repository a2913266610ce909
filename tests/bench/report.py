"""One table for people and one document for programs."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import median

from rich.console import Console
from rich.table import Table

from tests.bench.figures import Figure, Findings, Judgement, Target
from tests.bench.stack import KINDS

_PIPE_COLUMNS = 200
_COLOURS = {Judgement.OK: "green", Judgement.BELOW: "yellow", Judgement.REPORTED: "dim"}


def print_report(machine: dict[str, object], all_findings: Sequence[Findings]) -> None:
    """The machine, then every figure, then what was lost and what to doubt."""
    console = Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS)
    console.print(" · ".join(f"{name} {value}" for name, value in machine.items()), highlight=False)
    console.print(_table(all_findings))
    for findings in all_findings:
        versions = ", ".join(findings.versions.values())
        told = f"{findings.stored:,} events stored in {findings.seconds:,.0f} s, {findings.lost:,} lost"
        console.print(f"{KINDS[findings.kind][0]} ({versions}): {told}", highlight=False)
        for warning in findings.warnings:
            console.print(f"  [yellow]note:[/] {warning}", highlight=False)


def document(machine: dict[str, object], all_findings: Sequence[Findings]) -> dict[str, object]:
    """Everything, with each single measurement."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "lost": sum(findings.lost for findings in all_findings),
        "runs": [
            {
                "redis": findings.kind,
                "versions": findings.versions,
                "seconds": round(findings.seconds, 1),
                "stored": findings.stored,
                "lost": findings.lost,
                "warnings": findings.warnings,
                "figures": [figure.as_document() for figure in findings.figures],
            }
            for findings in all_findings
        ],
    }


def _table(all_findings: Sequence[Findings]) -> Table:
    table = Table("on", "what", "floor", "measured", "ratio", "target", "", "note", header_style="bold")
    for findings in all_findings:
        for figure in findings.figures:
            judgement = f"[{_COLOURS[figure.judgement]}]{figure.judgement}[/]"
            table.add_row(
                KINDS[findings.kind][0],
                f"{figure.name}, {figure.unit}",
                _spread(figure.floors, ",.0f"),
                _spread(figure.values, ",.0f" if median(figure.values) >= 1000 else ".1f"),
                _spread(figure.ratios, ".0%"),
                _told(figure),
                judgement,
                figure.note,
            )
    return table


def _told(figure: Figure) -> str:
    target: Target = figure.target
    if target.at_least is not None:
        return f"≥ {target.at_least:.0%} of the floor"
    return "" if target.at_most is None else f"≤ {target.at_most:g}"


def _spread(values: Sequence[float], form: str) -> str:
    """The median, and the range when there is one."""
    if not values:
        return ""
    middle = format(median(values), form)
    return middle if len(values) == 1 else f"{middle} ({min(values):{form}} to {max(values):{form}})"
