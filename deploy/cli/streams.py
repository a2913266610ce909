"""`weir streams`: what waits in Redis."""

from __future__ import annotations

from dataclasses import asdict

import redis

from deploy.cli.options import AsJson, DataDir, command_app
from deploy.cli.output import print_json, print_table
from deploy.connections import sync_redis
from deploy.endpoints import resolve_endpoints
from shared.redis_functions import redis_outage
from shared.settings import Settings, load_settings
from shared.shards_in_use import all_shards
from shared.stream_status import StreamStatus, read_stream_status

app = command_app()


@app.command()
def streams(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show what waits in each stream, in events: lag is not read yet, pending is read and not yet stored.

    Example: `weir streams --json`
    """
    found = _read(load_settings({"data_dir": data_dir}))
    if as_json:
        return print_json([asdict(stream) for stream in found])
    return print_table(
        ["stream", "shard", "length", "lag", "pending", "oldest s", "consumers"],
        [
            (
                one.name,
                one.shard,
                one.length,
                one.lag,
                one.pending,
                round(one.oldest_age_seconds, 1),
                len(one.consumers),
            )
            for one in found
        ],
    )


def _read(settings: Settings) -> list[StreamStatus]:
    try:
        with sync_redis(resolve_endpoints(settings).redis_url, settings.redis_timeout_ms / 1000) as client:
            return read_stream_status(client, all_shards(client, settings.stream_shards))
    except redis.RedisError as error:
        raise redis_outage(error) from error
