"""`weir failed`: the events that were given up; see why, put them back, or let them go."""

from __future__ import annotations

import base64
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from deploy.cli.options import AsJson, DataDir, Yes, command_app
from deploy.cli.output import print_json, print_table
from deploy.endpoints import resolve_endpoints
from deploy.failed.desk import Desk
from deploy.failed.discard_log import log_discarded
from deploy.failed.plain_text import plain_bytes, plain_text
from shared.errors import RefusedRequest, UsageError
from shared.failed_events import FailedEvent, Reason, Selection, is_being_replayed, refusal
from shared.settings import load_settings

app = command_app()

_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%z"]
_ALL = 100_000
Ids = Annotated[list[int] | None, typer.Argument(metavar="ID", help="Ids as `weir failed list` shows them.")]
ClientId = Annotated[str | None, typer.Option("--client-id", help="Only this client's.")]
Type = Annotated[str | None, typer.Option("--type", help="Only events of this type.")]
Why = Annotated[Reason | None, typer.Option("--reason", help="Only those given up for this reason.")]
Since = Annotated[
    datetime | None, typer.Option("--since", formats=_TIMES, help="Last failed at or after this; a date is UTC.")
]
Until = Annotated[datetime | None, typer.Option("--until", formats=_TIMES, help="Last failed before this.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=_ALL, help="At most so many, the latest failures first.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


@app.callback()
def failed() -> None:
    """See the events that were given up, and why; put them back on their stream, or let them go."""


@app.command("list")
def list_command(
    client_id: ClientId = None,
    type_: Type = None,
    reason: Why = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show failed events, the latest failure first.

    Example: `weir failed list --reason enricher_failed --since 2026-01-31`
    """
    found = _desk(data_dir).find(_selection(None, client_id, type_, reason, since, until, limit))
    if as_json:
        return print_json([asdict(event) for event in found])
    columns = ["id", "client", "event", "type", "reason", "attempts", "replays", "last failed", "detail", "next step"]
    return print_table(columns, [_row(event) for event in found])


@app.command()
def show(
    id_: Annotated[int, typer.Argument(metavar="ID", help="As `weir failed list` shows it.")],
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show everything about one failed event, with its payload; bytes that are not UTF-8 are escaped.

    Example: `weir failed show 17`
    """
    event = _desk(data_dir).show(id_)
    if event is None:
        raise RefusedRequest(404, "not-found", f"there is no failed event {id_}: `weir failed list` shows all")
    payload = bytes(event.pop("payload"))
    event["payload"] = plain_bytes(payload)
    if as_json:
        return print_json(event | {"payload_base64": base64.b64encode(payload).decode()})
    return print_table(["", ""], [(name, plain_text(str(value))) for name, value in event.items() if value is not None])


@app.command()
def replay(
    ids: Ids = None,
    client_id: ClientId = None,
    type_: Type = None,
    reason: Why = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = _ALL,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Events a second; default: as fast as it goes.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Also those that failed 3 times in the same way.")] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Put failed events back on their stream. Each stays here until it is stored, or fails again and is counted up.

    On a terminal it asks, unless ids are given. The exit code is 1 if some are refused.

    Example: `weir failed replay --reason enricher_failed --rate 200`
    """
    desk, now = _desk(data_dir), datetime.now(UTC)
    found = desk.find(_selection(ids, client_id, type_, reason, since, until, limit))
    refusals = {event.id: refusal(event, now, force=force) for event in found}
    wanted = [id_ for id_, detail in refusals.items() if detail is None]
    refused = [{"id": id_, "detail": detail} for id_, detail in refusals.items() if detail is not None]
    refused += _missing(ids, found)
    if wanted and not dry_run and not ids and sys.stdin.isatty():
        _confirm(f"Put {len(wanted)} failed event(s) back on their stream?", yes)
    replayed = len(wanted if dry_run else _replay(desk, wanted, now, rate))
    _tell("replayed", "would be replayed", len(found), replayed, refused, dry_run=dry_run, as_json=as_json)


@app.command()
def discard(
    ids: Ids = None,
    client_id: ClientId = None,
    type_: Type = None,
    reason: Why = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = _ALL,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Delete failed events for good; they stay counted as failed. Those being replayed are refused.

    Example: `weir failed discard 17 18 --yes`
    """
    desk, now = _desk(data_dir), datetime.now(UTC)
    selection = _selection(ids, client_id, type_, reason, since, until, limit)
    found = desk.find(selection)
    wanted = [event.id for event in found if not is_being_replayed(event, now)]
    if dry_run:
        discarded = wanted
    else:
        if wanted:
            _confirm(f"Delete {len(wanted)} failed event(s) for good?", yes)
        discarded = desk.discard(wanted, now)
        log_discarded(selection, [event for event in found if event.id in set(discarded)])
    kept = {event.id for event in found} - set(discarded)
    refused: list[dict[str, Any]] = [{"id": id_, "detail": "it is being replayed"} for id_ in sorted(kept)]
    refused += _missing(ids, found)
    _tell("discarded", "would be discarded", len(found), len(discarded), refused, dry_run=dry_run, as_json=as_json)


def _desk(data_dir: DataDir) -> Desk:
    settings = load_settings({"data_dir": data_dir})
    return Desk(resolve_endpoints(settings), settings.stream_shards, settings.redis_timeout_ms / 1000)


def _selection(
    ids: list[int] | None,
    client_id: str | None,
    type_: str | None,
    reason: Reason | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
) -> Selection:
    first, end = (moment and (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) for moment in (since, until))
    if first and end and first >= end:
        raise UsageError(f"--since {first.isoformat()} must lie before --until {end.isoformat()}")
    if ids and max(ids) >= 2**63:
        raise UsageError("an id is too large to be one: `weir failed list` shows them")
    return Selection(client_id, type_, reason, first, end, tuple(ids) if ids else None, limit)


def _missing(ids: list[int] | None, found: list[FailedEvent]) -> list[dict[str, Any]]:
    seen = {event.id for event in found}
    return [{"id": id_, "detail": "there is no such failed event"} for id_ in ids or () if id_ not in seen]


def _replay(desk: Desk, ids: list[int], now: datetime, rate: float | None) -> list[int]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("replayed", total=len(ids))
        return desk.replay(ids, now, rate, lambda done: progress.update(task, completed=done))


def _confirm(question: str, yes: bool) -> None:
    if not yes:
        typer.confirm(question, abort=True, err=True)


def _tell(
    done: str,
    planned: str,
    matched: int,
    count: int,
    refused: list[dict[str, Any]],
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    if as_json:
        print_json({"matched": matched, done: count, "refused": refused, "dry_run": dry_run})
    else:
        print(f"{count} of {matched} failed event(s) {planned if dry_run else done}")
        if refused:
            print_table(["id", "refused"], [(one["id"], one["detail"]) for one in refused])
    if refused:
        raise typer.Exit(1)


def _row(event: FailedEvent) -> tuple[object, ...]:
    return (
        event.id,
        event.client_id,
        plain_text(event.event_id or ""),
        event.event_type,
        event.reason,
        event.attempts,
        event.replays,
        event.last_failed_at.isoformat(timespec="seconds"),
        plain_text(event.detail),
        event.next_step,
    )
