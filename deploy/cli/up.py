"""`weir up`: everything on one machine, from one command."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.command_name import command_name, command_place
from deploy.cli.options import command_app, data_dir_option
from shared.settings import Settings, load_settings

if TYPE_CHECKING:
    from deploy.fleet.fleet import Fleet
    from deploy.fleet.servers import ServersUp

app = command_app()

GO_ON_SECONDS = 1.0


@app.command()
def up(
    data_dir: Annotated[
        Path | None, data_dir_option("Folder of all data, made at the first start [WEIR_DATA_DIR, else .weir].")
    ] = None,
    gateway_port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the gateway [8000].")] = None,
    analytics_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the analytics API [8001].")
    ] = None,
    processors: Annotated[int | None, typer.Option(min=0, max=256, help="Processor processes [1].")] = None,
) -> None:
    """Start everything on embedded servers, print the addresses and a first key, and show what flows.

    Ctrl-C drains and stops it; data stays in the data directory, and the next start goes on with it. DATABASE_URL and
    REDIS_URL replace either embedded server.

    Example: `weir up --data-dir /var/lib/weir --processors 2`
    """
    given = {
        "data_dir": data_dir,
        "gateway_port": gateway_port,
        "analytics_port": analytics_port,
        "processors": processors,
    }
    _run(load_settings(given))


def _run(settings: Settings) -> None:
    from deploy.embedded.child_process import die_with_parent
    from deploy.embedded.errors import ServerStartError

    if settings.runs_under_make:
        die_with_parent(signal.SIGTERM)  # make killed with -9 must leave nothing behind
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup asks to ignore it
            signal.signal(number, lambda *_: stopping.set())
    began = time.monotonic()
    _say(f"starting in {settings.data_dir} …")
    try:
        _run_until(stopping, settings, began)
    except ServerStartError:
        if not stopping.is_set():
            raise
    _say_at_the_end(f"stopped; the data stays in {settings.data_dir}")


def _run_until(stopping: threading.Event, settings: Settings, began: float) -> None:
    from deploy.fleet.fleet import Fleet
    from deploy.fleet.ground import owned_data_dir, refuse_running_one, refuse_taken_ports
    from deploy.fleet.servers import servers_up
    from stream_processor.enrich import load_enrichers

    load_enrichers(settings.enrichers)  # one that cannot be had is told now, not by a processor that crashes
    data_dir = settings.data_dir.absolute()
    refuse_running_one(data_dir)
    refuse_taken_ports(settings)
    with owned_data_dir(data_dir), servers_up(settings, stopping.is_set) as servers:
        fleet = Fleet(settings)
        try:
            fleet.start(stopping.is_set, _say)
            if not stopping.is_set():
                _greet(settings, servers, time.monotonic() - began)
                _watch(settings, servers, fleet, stopping)
        finally:
            _say_at_the_end("stopping: no new requests, draining what is in flight …")
            for name in fleet.stop():
                _say_at_the_end(f"{name} did not end in time and was killed; what it held is stored at the next start")


def _greet(settings: Settings, servers: ServersUp, seconds: float) -> None:
    from deploy.fleet.first_key import ensure_first_key

    weir = command_name()
    scheme = "http" if settings.tls_certificate is None else "https"
    gateway = f"{scheme}://{settings.gateway_host}:{settings.gateway_port}"
    analytics = f"{scheme}://{settings.analytics_host}:{settings.analytics_port}"
    place = command_place(settings)
    _say(f"up in {seconds:.1f} s" + (f" on {' and '.join(servers.versions)}" if servers.versions else ""))
    _say("")
    _say(f"  gateway    {gateway}            calls: {gateway}/docs")
    _say(f"  analytics  {analytics}            calls: {analytics}/docs")
    _say(f"  dashboard  {analytics}/dashboard")
    if servers.copied_programs is not None:
        _say(f"  programs   {servers.copied_programs} is a copy of PostgreSQL's, which root may not run itself")
    key = ensure_first_key(servers.endpoints)
    if key is not None:
        _say("")
        _say(f"  first key  {key}")
        _say(
            f"             an admin key, shown this once; make others with: {weir} keys create --client-id NAME{place}"
        )
        _say("")
        _say("  post a first event:")
        _say(f"    curl -X POST {gateway}/api/v1/events/ingest -H 'Authorization: Bearer {key}' \\")
        _say("      -H 'Content-Type: application/json' \\")
        _say("""      -d '{"event_id": "first-1", "event_type": "hello.world", "payload": {"n": 1}}'""")
    else:
        _say(f"  keys       {weir} keys list{place}; a new one: {weir} keys create --client-id NAME{place}")
    _say("")


def _watch(settings: Settings, servers: ServersUp, fleet: Fleet, stopping: threading.Event) -> None:
    import redis

    from deploy.connections import sync_redis
    from deploy.fleet.flow_line import Totals, flow_line, read_totals
    from deploy.fleet.standing import Standing
    from deploy.fleet.supervisor import Supervisor

    standing = Standing(settings.stream_shards, command_place(settings))
    with sync_redis(servers.endpoints.redis_url, 1.0) as client, contextlib.ExitStack() as stack:
        supervisor = Supervisor(client, fleet.processors, settings.processors, settings.stream_shards)
        stack.callback(supervisor.leave)
        before: Totals | None = None
        while not stopping.wait(GO_ON_SECONDS):
            for news in (*servers.keep_up(stopping.is_set), *fleet.keep_up(), *supervisor.look()):
                _say(news)
            try:
                now = read_totals(client, settings.stream_shards)
                mark, news_of_holds = standing.look(client)
            except redis.RedisError as error:
                _say(f"Redis does not answer: {type(error).__name__}")
                continue
            for news in news_of_holds:
                _say(news)
            if before is not None:
                _say(flow_line(before, now) + mark)
            before = now


def _say(line: str) -> None:
    stamp = time.strftime("%H:%M:%S ") if line and not line.startswith("  ") else ""
    print(f"{stamp}{line}", flush=True)


def _say_at_the_end(line: str) -> None:
    with contextlib.suppress(OSError):  # who read it may be gone: a closed terminal must not keep us from stopping
        _say(line)
