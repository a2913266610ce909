"""`weir partitions`: the days that events and audit records are kept in."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from deploy.cli.options import AsJson, DataDir, Yes, command_app
from deploy.cli.output import print_json, print_table
from deploy.cli.retention import keeper_of, print_result, showing, size
from deploy.retention.keeper import KnownPartition
from shared.errors import RefusedRequest, UsageError
from stream_processor.retention import days_between

app = command_app()

_MOST_DAYS = 3700
_DAY = ["%Y-%m-%d"]


class Table(StrEnum):
    """What has day partitions."""

    EVENTS = "events"
    AUDIT_LOGS = "audit_logs"


OfTable = Annotated[Table | None, typer.Option("--table", help="Only this table's.")]


@app.callback()
def partitions() -> None:
    """See, make and drop the days that events and audit records are kept in. All times are UTC."""


@app.command("list")
def list_command(table: OfTable = None, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show every partition, its range, size with indexes, estimated rows, and whether it is past its retention.

    Example: `weir partitions list --table events`
    """
    found = [one for one in keeper_of(data_dir).partitions() if table in (None, one.partition.parent)]
    if as_json:
        return print_json([_described(one) for one in found])
    rows = [
        (one.partition.name, _day(one.partition.range_start), _day(one.partition.range_end),
         size(one.partition.bytes), one.partition.rows, "yes" if one.is_expired else "")
        for one in found
    ]  # fmt: skip
    return print_table(["partition", "from", "to", "size", "rows (estimated)", "past retention"], rows)


@app.command()
def create(
    from_: Annotated[datetime, typer.Option("--from", formats=_DAY, help="First day.")],
    to: Annotated[datetime, typer.Option("--to", formats=_DAY, help="Last day, included.")],
    table: OfTable = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Make the partitions of a range of days; those that are there are left alone.

    Example: `weir partitions create --from 2026-12-01 --to 2026-12-31`
    """
    first, last = from_.date(), to.date()
    if not first <= last:
        raise UsageError(f"--from {first} must not lie after --to {last}")
    if (last - first).days >= _MOST_DAYS:
        raise UsageError(f"that is {(last - first).days + 1} days: make at most {_MOST_DAYS} at once")
    made = keeper_of(data_dir).create([table] if table else list(Table), days_between(first, last))
    if as_json:
        return print_json({"created": made})
    return print(f"{len(made)} partition(s) made" + (f": {made[0]} … {made[-1]}" if made else ""))


@app.command()
def drop(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="As `weir partitions list` shows them.")],
    force: Annotated[bool, typer.Option("--force", help="Also those that are not past their retention.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Drop partitions with all that is in them; ids of dropped events may be used again. Rollups stay.

    Example: `weir partitions drop events_20260101`
    """
    keeper = keeper_of(data_dir)
    known = {one.partition.name: one for one in keeper.partitions()}
    chosen = []
    for name in dict.fromkeys(names):
        if name not in known:
            raise RefusedRequest(404, "not-found", f"there is no partition {name!r}: `weir partitions list` shows all")
        if not known[name].is_expired and not force:
            raise RefusedRequest(409, "conflict", f"{name} is not past its retention: --force drops it all the same")
        chosen.append(known[name].partition)
    if not yes:
        bytes_ = sum(one.bytes for one in chosen)
        question = f"Drop {len(chosen)} partition(s), {size(bytes_)}, about {sum(one.rows for one in chosen)} rows?"
        typer.confirm(question, abort=True, err=True)
    with showing() as show:
        result = keeper.drop(chosen, show)
    print_result(result, as_json=as_json)


def _described(one: KnownPartition) -> dict[str, Any]:
    partition = one.partition
    return {
        "table": partition.parent,
        "name": partition.name,
        "from": partition.range_start and partition.range_start.astimezone(UTC),
        "to": partition.range_end and partition.range_end.astimezone(UTC),
        "bytes": partition.bytes,
        "rows_estimated": partition.rows,
        "is_past_retention": one.is_expired,
    }


def _day(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d")
