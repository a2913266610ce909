"""`weir top`: what flows, what waits and who works on it, anew each second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.options import AsJson, DataDir, command_app
from deploy.cli.output import print_json
from deploy.endpoints import resolve_endpoints
from shared.settings import load_settings

if TYPE_CHECKING:
    from deploy.live.glance import Glance

app = command_app()

_INTERVAL_SECONDS = 1.0


@app.command()
def top(
    once: Annotated[bool, typer.Option("--once", help="Show two looks' difference once, and end.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show rates, streams, processors and failed events, anew each second until Ctrl-C.

    Asks Redis and PostgreSQL themselves, so it works while the analytics API is down; a server that is away is named,
    and the rest is shown; with --once the exit code is then 1. With --json, a line a second.
    Example: `weir top --once --json`
    """
    from deploy.connections import sync_redis
    from deploy.live.glance import Looker

    settings = load_settings({"data_dir": data_dir})
    endpoints = resolve_endpoints(settings)
    with sync_redis(endpoints.redis_url, settings.redis_timeout_ms / 1000) as client:
        looker = Looker(client, endpoints.analytics_database_url, settings.stream_shards)
        looker.look()
        if once:
            time.sleep(_INTERVAL_SECONDS)
            glance = looker.look()
            _print_once(glance, as_json)
            if glance.unavailable:
                raise typer.Exit(1)
            return None
        return _go_on(looker, as_json)


def _print_once(glance: Glance, as_json: bool) -> None:
    if as_json:
        return print_json(glance)
    from rich.console import Console

    from deploy.live.screen import screen

    return Console().print(screen(glance))


def _go_on(looker: object, as_json: bool) -> None:
    import orjson
    from rich.live import Live

    from deploy.live.glance import Looker
    from deploy.live.screen import screen

    assert isinstance(looker, Looker)  # noqa: S101  imported late: rich and psycopg are slow to load
    if as_json:
        while True:
            time.sleep(_INTERVAL_SECONDS)
            print(orjson.dumps(looker.look(), default=str).decode(), flush=True)
    with Live(screen(looker.look()), screen=False, auto_refresh=False) as shown:
        while True:
            time.sleep(_INTERVAL_SECONDS)
            shown.update(screen(looker.look()), refresh=True)
