"""`weir load`: sends events and measures what becomes of them."""

from __future__ import annotations

import secrets
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.options import AsJson, DataDir, command_app
from deploy.cli.output import print_json, print_table

if TYPE_CHECKING:
    from deploy.load.event_source import EventSource
    from deploy.load.summary import Summary

app = command_app()

_DEFAULT_EVENTS = 10_000


@app.command()
def load(
    events: Annotated[int | None, typer.Option(min=1, help="Events to send [10000, or no end with --seconds].")] = None,
    file: Annotated[Path | None, typer.Option(help="Send these events, one JSON object a line, plain or gzip.")] = None,
    repeat: Annotated[int, typer.Option(min=1, help="How often to send the file.")] = 1,
    fresh_ids: Annotated[bool, typer.Option("--fresh-ids", help="Give the file's events new ids each time.")] = False,
    batch: Annotated[int, typer.Option(min=1, max=10_000, help="Events a request; 1 uses the call for one.")] = 500,
    concurrency: Annotated[
        int, typer.Option(min=1, max=1000, help="Connections, each with one request at a time.")
    ] = 8,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Events a second [as fast as it goes].")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Send for so long at most.")] = None,
    payload_bytes: Annotated[int, typer.Option(min=200, max=250_000, help="Size of a made-up payload.")] = 250,
    seed: Annotated[int | None, typer.Option(help="Make the same payloads as an earlier run with this seed.")] = None,
    url: Annotated[str | None, typer.Option(help="The gateway [that of the `weir up`, or WEIR_GATEWAY_PORT].")] = None,
    key: Annotated[str | None, typer.Option(help="Key of scope ingest [one is made for the run].")] = None,
    client_id: Annotated[str | None, typer.Option(help="Client of the key that is made [load].")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Send events, made up or of a file, and say how many were stored and how fast.

    429 and 503 are waited out, and what was cut is sent again with the same ids, so no event is lost. Ctrl-C ends
    the run with the summary so far. The exit code is 1 unless all are stored, and 130 (or 143) when it was stopped.

    Example: `weir load --events 100000`, or `weir load --file events.ndjson.gz --repeat 200 --fresh-ids`
    """
    import uvloop

    from deploy.endpoints import resolve_endpoints
    from deploy.load.gateway_address import parse_address
    from deploy.load.live_progress import LiveProgress
    from deploy.load.pacing import Pace
    from deploy.load.run import LoadPlan
    from deploy.load.session import KeyChoice, load
    from shared.settings import load_settings

    settings = load_settings({"data_dir": data_dir})
    endpoints = resolve_endpoints(settings)
    _refuse_contradictions(events, file, repeat, fresh_ids, key, client_id)
    _refuse_too_large(batch, settings.max_batch_events)
    if file is not None:
        source = _file_source(file, repeat, fresh_ids)
    else:
        wanted = events if events or seconds else _DEFAULT_EVENTS
        source = _synthetic_source(wanted, payload_bytes, seed)
    address = parse_address(url or endpoints.gateway_url)
    plan = LoadPlan(source, address, batch, concurrency, Pace(rate, seconds))
    with LiveProgress(source.count, seconds) as progress:
        summary = uvloop.run(load(plan, KeyChoice(key, client_id), endpoints, progress.show))
    _print(summary, as_json)
    if summary.stopped_by is not None:
        _tell_unsent(summary.stopped_by, summary.sent, source.count)
        raise typer.Exit(128 + summary.stopped_by)
    if not summary.sound:
        raise typer.Exit(1)


def _refuse_contradictions(
    events: int | None, file: Path | None, repeat: int, fresh_ids: bool, key: str | None, client_id: str | None
) -> None:
    from shared.errors import UsageError

    if file is None and (repeat > 1 or fresh_ids):
        raise UsageError("--repeat and --fresh-ids go with --file; made-up events always have ids of their own")
    if file is not None and events is not None:
        raise UsageError("--events makes events up and --file has its own: give one of them")
    if key is not None and client_id is not None:
        raise UsageError("the client is that of --key: leave --client-id out")


def _refuse_too_large(batch: int, most: int) -> None:
    from shared.errors import UsageError

    if batch > most:
        raise UsageError(f"--batch {batch}: the gateway takes {most} events a request at most (WEIR_MAX_BATCH_EVENTS)")


def _file_source(file: Path, repeat: int, fresh_ids: bool) -> EventSource:
    from deploy.load.event_file import read_events
    from deploy.load.event_source import EventSource, FreshIds, GivenIds, now

    found = read_events(file)
    ids = FreshIds.of_a_new_run() if fresh_ids else GivenIds(found.ids)
    return EventSource(ids, found.tails, len(found.ids) * repeat, found.earliest or now())


def _synthetic_source(events: int | None, payload_bytes: int, seed: int | None) -> EventSource:
    from deploy.load.event_source import EventSource, FreshIds, now
    from deploy.load.synthetic_events import SyntheticShape, synthetic_tails

    shape = SyntheticShape(payload_bytes, secrets.randbits(32) if seed is None else seed)
    return EventSource(FreshIds.of_a_new_run(), synthetic_tails(shape), events, now())


def _tell_unsent(stopped_by: int, sent: int, wanted: int | None) -> None:
    unsent = "" if wanted is None else f"; {wanted - sent:,} of {wanted:,} events were not sent"
    print(f"weir: stopped by {signal.Signals(stopped_by).name}{unsent}", file=sys.stderr)


def _print(summary: Summary, as_json: bool) -> None:
    from deploy.load.summary_table import summary_rows

    if as_json:
        print_json(summary.as_document())
    else:
        print_table(["", "", ""], summary_rows(summary))
