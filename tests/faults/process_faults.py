"""Processes killed with -9, and stopped in their tracks for longer than every time-out."""

import os
import signal
from collections.abc import Sequence
from random import Random

from tests import processes
from tests.faults.fault import fault, last
from tests.faults.scene import STOPPED_SECONDS, Scene


@fault("a gateway is killed with -9 and started again")
def gateway_killed(scene: Scene, chance: Random) -> None:
    gateway = chance.choice(scene.gateways)
    gateway.kill()
    last(chance.uniform(0, 2))
    gateway.start()
    scene.await_gateways()


@fault("a processor is killed with -9; another is started in its place after a while")
def processor_killed(scene: Scene, chance: Random) -> None:
    processor = chance.choice(scene.processors)
    processor.kill()
    last(chance.uniform(0, 4))
    processor.start()


@fault("all processors are killed with -9 at once")
def processors_killed(scene: Scene, chance: Random) -> None:
    for processor in scene.processors:
        processor.kill()
    last(chance.uniform(0, 2))
    for processor in scene.processors:
        processor.start()


@fault("Redis is killed with -9 and comes back with what its append-only file holds")
def redis_killed(scene: Scene, chance: Random) -> None:
    scene.redis.kill()
    last(chance.uniform(0, 3))
    scene.redis.start()


@fault("PostgreSQL is killed with -9 and recovers")
def postgres_killed(scene: Scene, chance: Random) -> None:
    scene.postgres.kill()
    last(chance.uniform(0, 3))
    scene.postgres.start()


@fault("one of PostgreSQL's backends is killed with -9, so it restarts itself")
def postgres_backend_killed(scene: Scene, chance: Random) -> None:
    with scene.database() as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() "
            "ORDER BY backend_start"
        ).fetchall()
    os.kill(chance.choice(rows)[0], signal.SIGKILL)


@fault("a gateway hangs for longer than every time-out, and goes on")
def gateway_stopped(scene: Scene, chance: Random) -> None:
    gateway = chance.choice(scene.gateways)
    gateway.signal(signal.SIGSTOP)
    try:
        last(STOPPED_SECONDS)
    finally:
        gateway.signal(signal.SIGCONT)


@fault("a processor hangs until others have taken its entries over, and goes on")
def processor_stopped(scene: Scene, chance: Random) -> None:
    processor = chance.choice(scene.processors)
    processor.signal(signal.SIGSTOP)
    try:
        last(STOPPED_SECONDS)
    finally:
        processor.signal(signal.SIGCONT)


@fault("Redis hangs for longer than every time-out, and goes on")
def redis_stopped(scene: Scene, chance: Random) -> None:
    del chance
    _hang([scene.redis.pid])


@fault("PostgreSQL, with all its processes, hangs for longer than every time-out, and goes on")
def postgres_stopped(scene: Scene, chance: Random) -> None:
    del chance
    _hang(processes.family(scene.postgres.pid))


def _hang(pids: Sequence[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        last(STOPPED_SECONDS)
    finally:
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)
