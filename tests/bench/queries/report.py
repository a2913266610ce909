"""One table for people and one document for programs; sizes beside one another, to see what grows with events."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from tests.bench.queries.exports import EXPORT_DAYS, Exported
from tests.bench.queries.history import DAYS
from tests.bench.queries.questions import Answered, Asked


def print_table(facts: Mapping[str, object], found: Sequence[Asked]) -> None:
    """The machine, then a row a question."""
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(" · ".join(f"{name} {value}" for name, value in facts.items()), highlight=False)
    table = Table("question", "target p95")
    for asked in found:
        table.add_column(f"{asked.events:,} events: p50 · p95 (CPU) ms", justify="right")
        table.add_column("plain query", justify="right")
    for answers in zip(*(asked.answers for asked in found), strict=True):
        question = answers[0].question
        target = "" if question.target_ms is None else f"≤ {question.target_ms:g} ms"
        table.add_row(question.name, target, *(cell for answer in answers for cell in _cells(answer)))
    console.print(table)
    for asked in found:
        for export in asked.exports:
            console.print(_exported(asked, export), highlight=False)
    for asked in found:
        versions = ", ".join(asked.versions.values())
        console.print(f"{asked.events:,} events stored in {asked.loading_seconds:,.0f} s; {versions}", highlight=False)


def _exported(asked: Asked, export: Exported) -> str:
    events = asked.events * EXPORT_DAYS / DAYS
    return (
        f"export of about {events:,.0f} events as {export.format}: "
        f"{export.seconds:.1f} s, {events / export.seconds:,.0f}/s, "
        f"{export.answer_bytes / 1e6:,.0f} MB; the process grew by {export.grown_bytes / 1e6:.1f} MB from "
        f"{export.resident_bytes / 1e6:.0f} MB"
    )


def document(facts: Mapping[str, object], found: Sequence[Asked]) -> dict[str, object]:
    """Everything."""
    return {"machine": dict(facts), "runs": [_run(asked) for asked in found]}


def _cells(answer: Answered) -> tuple[str, str]:
    if answer.refused:
        return answer.refused[:60], ""
    target = answer.question.target_ms
    colour = "" if target is None else "green" if answer.p95_ms <= target else "yellow"
    told = f"{answer.p50_ms:.1f} · {answer.p95_ms:.1f} ({answer.cpu_ms:.1f})"
    plain = (
        "" if answer.plain_ms is None else f"{answer.plain_ms:,.0f} ms, {answer.plain_ms / answer.p50_ms:,.0f} times"
    )
    return (f"[{colour}]{told}[/]" if colour else told), plain


def _run(asked: Asked) -> dict[str, object]:
    answers = [
        {
            "question": answer.question.name,
            "call": answer.question.path,
            "parameters": dict(answer.question.parameters),
            "client": answer.question.reads or None,
            "p50_ms": round(answer.p50_ms, 2),
            "p95_ms": round(answer.p95_ms, 2),
            "target_p95_ms": answer.question.target_ms,
            "cpu_ms": round(answer.cpu_ms, 2),
            "answer_bytes": answer.answer_bytes,
            "plain_ms": None if answer.plain_ms is None else round(answer.plain_ms, 1),
            "plain_ratio": None if answer.plain_ms is None else round(answer.plain_ms / answer.p50_ms, 1),
            "refused": answer.refused or None,
        }
        for answer in asked.answers
    ]
    return {
        "events": asked.events,
        "loading_seconds": round(asked.loading_seconds, 1),
        "versions": dict(asked.versions),
        "answers": answers,
        "exports": [asdict(export) for export in asked.exports],
    }
