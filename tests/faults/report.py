"""The result of a run: a table for people and a document for programs."""

from datetime import UTC, datetime
from typing import Any

from tests.bench.machine import machine
from tests.faults.run import Plan, Result


def document(plan: Plan, result: Result, left_out: dict[str, str]) -> dict[str, Any]:
    """All of it, as JSON can hold it."""
    return {
        "seed": plan.seed,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "servers": list(result.versions),
        "seconds": round(result.seconds, 1),
        "drain_seconds": round(result.drain_seconds, 1),
        **result.verdict.figures,
        "faults": result.struck.total(),
        "strikes of two at once": result.pairs,
        "faults_by_kind": dict(sorted(result.struck.items())),
        "left_out": left_out,
        "violations": result.verdict.violations,
    }


def table(told: dict[str, Any]) -> str:
    """The same as a Markdown table."""
    facts = told["machine"]
    rows = {
        "seed": told["seed"],
        "machine": f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']} GiB; {', '.join(told['servers'])}",
        "duration": f"{told['seconds']:.0f} s, drained in {told['drain_seconds']:.1f} s",
        **{name: f"{value:,}" for name, value in told.items() if isinstance(value, int)},
        "faults by kind": ", ".join(f"{name} {count}" for name, count in told["faults_by_kind"].items()),
        "left out": "; ".join(f"{name}: {why}" for name, why in told["left_out"].items()) or "none",
        "violations": "<br>".join(told["violations"]) or "none",
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])
