"""`weir processors scale` and `supervise`: how many processors run, on one machine or on many."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.options import DataDir, command_app
from shared.errors import HaltError
from shared.settings import Settings, load_settings

if TYPE_CHECKING:
    from shared.fleet_target import AutoPolicy, FleetTarget, SupervisorStatus

app = command_app()

_LOOK_SECONDS = 0.5
_LOOKS_SECONDS = 3.0
_LAG = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m)?")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, None: 1.0}


@app.command()
def scale(
    count: Annotated[int | None, typer.Argument(min=0, max=1024, help="Processors in all, on all machines.")] = None,
    auto: Annotated[bool, typer.Option("--auto", help="Let the number follow the age of the oldest event.")] = False,
    least: Annotated[int, typer.Option("--min", min=1, max=1024, help="With --auto: the least.")] = 1,
    most: Annotated[int, typer.Option("--max", min=1, max=1024, help="With --auto: the most.")] = 8,
    target_lag: Annotated[str, typer.Option(help="With --auto: the age that is aimed at, as 500ms, 5s or 1m.")] = "5s",
    forget: Annotated[bool, typer.Option("--forget", help="Go back to what each machine's settings say.")] = False,
    wait_seconds: Annotated[float, typer.Option("--wait", min=0, help="Seconds to watch it happen; 0 is none.")] = 60,
    data_dir: DataDir = None,
) -> None:
    """Change how many processors run. Every `weir up` and `weir processors supervise` takes its share.

    Those that are too many drain before they end: nothing is lost or stored twice. The number holds until changed.

    Example: `weir processors scale 4`, or `weir processors scale --auto --min 1 --max 8 --target-lag 5s`
    """
    from shared.fleet_target import AutoPolicy

    if [count is not None, auto, forget].count(True) != 1:
        raise typer.BadParameter("give one of a number, --auto and --forget")
    policy = AutoPolicy(least, most, _seconds(target_lag)) if auto else None
    if policy is not None and least > most:
        raise typer.BadParameter(f"--min {least} is more than --max {most}")
    settings = load_settings({"data_dir": data_dir})
    _order(settings, count, policy, wait_seconds)


@app.command()
def supervise(
    processors: Annotated[int | None, typer.Option(min=0, max=256, help="Processors while no target is set.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Run this machine's share of the processors until Ctrl-C: for machines that run processors only.

    Example: `DATABASE_URL=… REDIS_URL=… weir processors supervise`
    """
    from deploy.connections import sync_redis
    from deploy.endpoints import resolve_endpoints
    from deploy.fleet.fleet import log_folder
    from deploy.fleet.metrics_targets import MetricsTargets
    from deploy.fleet.processor_fleet import ProcessorFleet
    from deploy.fleet.supervisor import Supervisor
    from deploy.fleet.supervisor import supervise as run_supervisor
    from shared.settings import environment_of

    settings = load_settings({"data_dir": data_dir, "processors": processors})
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    environment = {**environment_of(settings), "WEIR_DATA_DIR": str(settings.data_dir.absolute())}
    targets = MetricsTargets(settings, front=False)
    fleet = ProcessorFleet(environment, log_folder(settings), settings.drain_seconds, targets)
    with sync_redis(resolve_endpoints(settings).redis_url, 1.0) as client:
        supervisor = Supervisor(client, fleet, settings.processors, settings.stream_shards)
        _say(f"{supervisor.name} supervises processors here; Ctrl-C drains and ends them")
        try:
            run_supervisor(supervisor, _say, lambda: stopping.wait(1.0))
        finally:
            for name in fleet.stop(settings.drain_seconds + 1):
                _say(f"{name} did not drain in time and was killed; others take over what it held")


def _order(settings: Settings, count: int | None, policy: AutoPolicy | None, wait_seconds: float) -> None:
    import redis

    from deploy.connections import sync_redis
    from deploy.endpoints import resolve_endpoints
    from shared.fleet_target import FleetOrders, Supervisors
    from shared.redis_functions import redis_outage

    try:
        with sync_redis(resolve_endpoints(settings).redis_url, settings.redis_timeout_ms / 1000) as client:
            orders, supervisors = FleetOrders(client), Supervisors(client)
            _await_supervisor(supervisors.all)
            if policy is not None:
                before = orders.target()
                current = before.count if before is not None else sum(one.running for one in supervisors.all())
                orders.order(min(max(current, policy.least), policy.most), policy)
            elif count is not None:
                orders.order(count)
            else:
                orders.forget()
                _say("no target any more: each machine runs as many processors as its settings say")
            _watch(orders.target, supervisors.all, wait_seconds)
    except redis.RedisError as error:
        raise redis_outage(error) from error


def _await_supervisor(supervisors: Callable[[], list[SupervisorStatus]]) -> None:
    """Raises HaltError when there is none; one that has just started may need a moment to tell of itself."""
    deadline = time.monotonic() + _LOOKS_SECONDS
    while not supervisors():
        if time.monotonic() > deadline:
            raise HaltError(
                "nobody supervises processors: start `weir up`, or `weir processors supervise` on a machine; "
                "in containers scale the processor service itself"
            )
        time.sleep(_LOOK_SECONDS)


def _watch(
    target: Callable[[], FleetTarget | None], supervisors: Callable[[], list[SupervisorStatus]], wait_seconds: float
) -> None:
    """Tell how it goes until it is so. Raises HaltError when it is not so in time."""
    deadline, told = time.monotonic() + wait_seconds, ""
    while wait_seconds > 0:
        wanted, found = target(), supervisors()
        line = _progress(wanted, found)
        if line != told:
            _say(line)
            told = line
        if _is_so(wanted, found):
            return
        if time.monotonic() > deadline:
            raise HaltError(f"not reached within {wait_seconds:g} s: {line}; see `weir processors status`")
        time.sleep(_LOOK_SECONDS)


def _is_so(target: FleetTarget | None, supervisors: list[SupervisorStatus]) -> bool:
    wanted = sum(one.wanted for one in supervisors)
    agreed = target is None or wanted == target.count
    version = 0 if target is None else target.version
    return agreed and all(
        one.version == version and one.running == one.wanted and not one.leaving for one in supervisors
    )


def _progress(target: FleetTarget | None, supervisors: list[SupervisorStatus]) -> str:
    running, leaving = sum(one.running for one in supervisors), sum(one.leaving for one in supervisors)
    wanted = sum(one.wanted for one in supervisors) if target is None else target.count
    where = f"on {len(supervisors)} machine(s)" if len(supervisors) != 1 else f"on {supervisors[0].host}"
    troubles = "".join(f"; {one.name}: {one.trouble}" for one in supervisors if one.trouble)
    draining = f", {leaving} drain" if leaving else ""
    return f"{running} of {wanted} processors run {where}{draining}{troubles}"


def _seconds(text: str) -> float:
    match = _LAG.fullmatch(text.strip())
    seconds = float(match[1]) * _UNIT_SECONDS[match[2]] if match else 0.0
    if not 0.01 <= seconds <= 86_400:
        raise typer.BadParameter(f"--target-lag is {text!r}: give a time from 10ms to 24 hours, as 500ms, 5s or 1m")
    return seconds


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)
