"""`weir processors`: the processors that run, wait, or are gone."""

from __future__ import annotations

from dataclasses import asdict

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from deploy.cli import processors_scale
from deploy.cli.options import AsJson, DataDir, command_app
from deploy.cli.output import print_json, print_table
from deploy.endpoints import resolve_endpoints
from shared.processor_status import ProcessorStatus, read_processor_status
from shared.redis_functions import redis_outage
from shared.settings import Settings, load_settings

app = command_app()
app.registered_commands += processors_scale.app.registered_commands


@app.callback()
def processors() -> None:
    """See the stream processors, and change how many there are."""


@app.command()
def status(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show each processor's state, events stored a second, entries pending, and last error.

    Example: `weir processors status --json`
    """
    found = _read(load_settings({"data_dir": data_dir}))
    if as_json:
        return print_json([asdict(processor) for processor in found])
    return print_table(
        ["name", "host", "state", "events/s", "pending", "idle s", "last error"],
        [
            (
                one.name,
                one.host,
                one.state,
                one.rate,
                one.pending,
                None if one.idle_seconds is None else round(one.idle_seconds, 1),
                one.last_error,
            )
            for one in found
        ],
    )


def _read(settings: Settings) -> list[ProcessorStatus]:
    timeout_seconds = settings.redis_timeout_ms / 1000
    try:
        with redis.Redis.from_url(
            resolve_endpoints(settings).redis_url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            return read_processor_status(client, settings.stream_shards)
    except redis.RedisError as error:
        raise redis_outage(error) from error
