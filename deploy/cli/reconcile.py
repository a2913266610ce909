"""`weir reconcile`: the proof that every accepted event is stored, failed, a duplicate or in flight."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import psycopg
import redis
import typer

from deploy.cli.options import AsJson, DataDir, command_app
from deploy.cli.output import print_json, print_table
from deploy.connections import sync_redis
from deploy.endpoints import resolve_endpoints
from shared.errors import Outage, UsageError
from shared.reconcile_note import leave_reconcile_note
from shared.redis_functions import redis_outage
from shared.settings import load_settings
from shared.shards_in_use import all_shards

if TYPE_CHECKING:
    from deploy.reconcile.reconciliation import Progress, Reconciliation

app = command_app()

_BEGIN, _END = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
_REDIS_SECONDS = 30


@app.command()
def reconcile(
    from_: Annotated[str | None, typer.Option("--from", help="From this time on, RFC 3339; whole minutes.")] = None,
    to: Annotated[str | None, typer.Option(help="Up to this time, not included.")] = None,
    client_id: Annotated[str | None, typer.Option(help="This client only.")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Prove that nothing is lost and nothing twice; exit 1 and every difference by name if something does not agree.

    Compares by client and minute: accepted = stored + duplicates + failed + in flight. Then rows, ids, rollups
    of every level, latencies and failed events with one another. Safe under load: minutes that still grow are left
    open. Totals of clients are looked at over all time, whatever the range; minutes before this version counted are
    not judged.

    Example: `weir reconcile --from 2026-11-22T00:00:00Z --client-id github`
    """
    from deploy.reconcile.database_snapshot import Scope
    from deploy.reconcile.reconciliation import reconcile as prove

    scope = Scope(_time(from_, _BEGIN), _time(to, _END), client_id)
    settings = load_settings({"data_dir": data_dir})
    endpoints = resolve_endpoints(settings)
    try:
        with sync_redis(endpoints.redis_url, _REDIS_SECONDS) as client, _progress() as progress:
            shards = all_shards(client, settings.stream_shards)
            found = prove(client, endpoints.database_url, shards, scope, progress)
            if client_id is None:
                with suppress(redis.RedisError):  # a Redis that is full must not keep the answer from whom asks
                    leave_reconcile_note(client, len(found.differences))
    except redis.RedisError as error:
        raise redis_outage(error) from error
    except psycopg.OperationalError as error:
        raise Outage("postgresql", " ".join(str(error).split()), sqlstate=error.sqlstate) from error
    if as_json:
        print_json({"agrees": found.agrees, **asdict(found)})
    else:
        _print(found)
    if not found.agrees:
        raise typer.Exit(1)


def _print(found: Reconciliation) -> None:
    balance = found.balance
    print_table(
        ["accepted", "stored", "duplicates", "failed", "in flight", "accounts", "still open", "failing"],
        [
            (
                balance.accepted, balance.stored, balance.duplicates, balance.failed, balance.in_flight,
                balance.accounts, balance.open_accounts, found.failing,
            )
        ],
    )  # fmt: skip
    if found.agrees:
        print("everything agrees")
        return
    print_table(
        ["difference", "client", "minute", "numbers", "what it says", "events"],
        [
            (
                one.kind, one.client_id, one.minute.isoformat() if one.minute else "",
                " ".join(f"{name}={number}" for name, number in one.numbers.items()), one.detail,
                ", ".join(one.event_ids),
            )
            for one in found.differences
        ],
    )  # fmt: skip


def _time(text: str | None, otherwise: datetime) -> datetime:
    """A time down to its minute. Raises UsageError."""
    if text is None:
        return otherwise
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a time such as 2026-11-22T08:00:00Z") from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return at.astimezone(UTC).replace(second=0, microsecond=0)


@contextmanager
def _progress() -> Iterator[Progress]:
    """A line on stderr that tells the step; nothing where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    with Bars(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True,
              disable=not console.is_terminal) as bars:  # fmt: skip
        task: Any = bars.add_task("")

        def show(step: str, done: int, of: int | None) -> None:
            bars.update(task, description=step + (f" {done:,}" if done else "") + (f" of {of:,}" if of else ""))

        yield show
