"""`weir processors`: the processors that run, wait, stand still or are gone; and their pause and resumption."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import redis
import typer

from deploy.cli import processors_scale
from deploy.cli.command_name import command_name, command_place
from deploy.cli.options import AsJson, DataDir, command_app
from deploy.cli.output import print_json, print_table
from deploy.connections import sync_redis
from deploy.endpoints import resolve_endpoints
from shared.processor_status import read_processor_status
from shared.redis_functions import redis_outage
from shared.redis_keys import ShardKeys, StreamKeys
from shared.settings import Settings, load_settings
from shared.shards_in_use import all_shards
from shared.stream_hold import HoldKind, StreamHolds, read_holds

app = command_app()
app.registered_commands += processors_scale.app.registered_commands


class StreamName(StrEnum):
    """The streams of a shard."""

    EVENTS = "events"
    AUDIT = "audit"
    DEAD = "dead"


Stream = Annotated[
    StreamName | None, typer.Option("--stream", help="Of this stream alone, in all shards; without it, of all.")
]


@app.callback()
def processors() -> None:
    """See the stream processors, pause them and let them go on, and change how many there are."""


@app.command()
def status(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show each processor's state, events stored a second, entries pending, and last error; and which streams are held.

    Example: `weir processors status --json`
    """
    settings = load_settings({"data_dir": data_dir})
    with _redis(settings) as client:
        shards = all_shards(client, settings.stream_shards)
        found, holds = read_processor_status(client, shards), read_holds(client, shards)
    if as_json:
        return print_json([asdict(processor) for processor in found])
    resume_it = f"{command_name()} processors resume{command_place(settings)}"
    for hold in holds:
        print(f"{hold.sentence}; to go on: {resume_it} --stream {hold.stream}")
    return print_table(
        ["name", "host", "state", "events/s", "pending", "idle s", "stands still for", "last error"],
        [
            (
                one.name,
                one.host,
                one.state,
                one.rate,
                one.pending,
                None if one.idle_seconds is None else round(one.idle_seconds, 1),
                one.held,
                one.last_error,
            )
            for one in found
        ],
    )


@app.command()
def pause(
    stream: Stream = None,
    reason: Annotated[str, typer.Option(help="Shown to whoever asks for the status.")] = "",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Let processors store what they have in hand and read nothing more, until `weir processors resume`.

    It outlives restarts, of processors as of Redis. The gateway goes on accepting, up to its backlog limit.

    Example: `weir processors pause --stream events --reason "moving the database"`
    """
    settings = load_settings({"data_dir": data_dir})
    with _redis(settings) as client:
        to_hold = StreamHolds(client)
        shards = all_shards(client, settings.stream_shards)
        for keys in _streams(shards, stream):
            to_hold.hold(keys, HoldKind.PAUSED, f"{getpass.getuser()}@{socket.gethostname()}", " ".join(reason.split()))
        holds = [hold for hold in read_holds(client, shards) if stream in (None, hold.stream)]
    if as_json:
        return print_json([asdict(hold) for hold in holds])
    for hold in holds:
        print(hold.sentence)
    return None


@app.command()
def resume(stream: Stream = None, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Let processors go on that are paused or halted, in a second or two; those that halted by themselves try again.

    Example: `weir processors resume`
    """
    settings = load_settings({"data_dir": data_dir})
    with _redis(settings) as client:
        to_hold = StreamHolds(client)
        shards = all_shards(client, settings.stream_shards)
        holds = [hold for keys in _streams(shards, stream) if (hold := to_hold.resume(keys)) is not None]
    if as_json:
        return print_json([asdict(hold) for hold in holds])
    for hold in holds:
        print(f"goes on: stream {hold.stream} of shard {hold.shard}, {hold.kind} by {hold.by} since {hold.since_text}")
    if not holds:
        print("no stream was held; processors that had halted by themselves try again now")
    return None


def _streams(shards: int, name: StreamName | None) -> list[StreamKeys]:
    return [keys for shard in map(ShardKeys, range(shards)) for keys in shard.streams if name in (None, keys.name)]


@contextmanager
def _redis(settings: Settings) -> Iterator[redis.Redis]:
    """Raises Outage for what goes wrong with Redis meanwhile."""
    try:
        with sync_redis(resolve_endpoints(settings).redis_url, settings.redis_timeout_ms / 1000) as client:
            yield client
    except redis.RedisError as error:
        raise redis_outage(error) from error
