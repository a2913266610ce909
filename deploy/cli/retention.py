"""`weir retention`: drop what is past its retention, or say what that would be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from deploy.cli.options import AsJson, DataDir, Yes, command_app
from deploy.cli.output import print_json, print_table
from deploy.endpoints import resolve_endpoints
from deploy.retention.keeper import Keeper
from deploy.services.processor import retention_policy
from shared.settings import load_settings
from stream_processor.retention_run import RetentionPlan, RetentionResult

app = command_app()


@app.callback()
def retention() -> None:
    """Drop what is past its retention. The processors do so daily by themselves, at WEIR_RETENTION_AT."""


@app.command()
def run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go and how much; drop nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Believe the clock, though it leapt or differs.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Drop events, audit records, failed events and rollups that are past their retention; ids go with their events.

    The exit code is 1 if a partition had to be put off, because long transactions use its table.

    Example: `weir retention run --dry-run`
    """
    keeper = keeper_of(data_dir)
    plan, now = keeper.plan(force=force)
    if dry_run:
        return _print_plan(plan, as_json=as_json)
    if plan.is_empty:
        return print_result(RetentionResult(), as_json=as_json)
    if not yes:
        _print_plan(plan, as_json=False)
        typer.confirm("Drop all of this?", abort=True, err=True)
    with showing() as show:
        result = keeper.carry_out(plan, now, show)
    return print_result(result, as_json=as_json)


def keeper_of(data_dir: DataDir) -> Keeper:
    """The keeper of the settings' database."""
    settings = load_settings({"data_dir": data_dir})
    return Keeper(resolve_endpoints(settings).database_url, retention_policy(settings))


def print_result(result: RetentionResult, *, as_json: bool) -> None:
    """What was dropped; exit 1 if something was put off."""
    if as_json:
        print_json(result)
    else:
        rollups = sum(result.rollups.values())
        print(
            f"dropped {len(result.partitions)} partition(s) with {result.event_ids} event id(s), "
            f"{result.failed_events} failed event(s), {rollups} rollup row(s)"
        )
        for name in result.put_off:
            print(f"{name} stays until the next run: long transactions use its table")
    if result.put_off:
        raise typer.Exit(1)


@contextmanager
def showing() -> Iterator[Callable[[str, int], None]]:
    """A line on stderr that tells what is done so far; nothing where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task("")
        yield lambda step, done: bars.update(task, description=f"{done:,} {step}")


def size(bytes_: int) -> str:
    """For people: '12.3 MiB'."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if bytes_ < 1024 or unit == "GiB":
            break
        bytes_ /= 1024  # type: ignore[assignment]
    return f"{bytes_:.0f} B" if unit == "B" else f"{bytes_:.1f} {unit}"


def _print_plan(plan: RetentionPlan, *, as_json: bool) -> None:
    if as_json:
        return print_json(
            {
                "partitions": [one.name for one in plan.partitions],
                "bytes": sum(one.bytes for one in plan.partitions),
                "rows_estimated": sum(one.rows for one in plan.partitions),
                "leftover": plan.leftover,
                "failed_events": plan.failed_events,
                "rollups": plan.rollups,
            }
        )
    rows: list[tuple[object, ...]] = [(one.name, size(one.bytes), one.rows) for one in plan.partitions]
    rows += [(f"{name} (left over)", "", None) for name in plan.leftover]
    rows += [("failed_events", "", plan.failed_events)]
    rows += [(name, "", number) for name, number in plan.rollups.items()]
    print_table(["what would go", "size", "rows (estimated for partitions)"], rows)
    return None
