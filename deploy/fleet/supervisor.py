"""The supervisor of one machine's processors: it runs its share of the target, and one of all supervisors scales."""

import os
import secrets
import socket
import time
from collections.abc import Callable
from typing import Final

import redis

from deploy.fleet.autoscale import AutoScale
from deploy.fleet.processor_fleet import ProcessorFleet
from shared.fleet_target import AutoPolicy, FleetOrders, FleetTarget, Supervisors, SupervisorStatus, share_of
from shared.processor_status import ProcessorState, read_processor_status
from shared.stream_status import read_stream_status

_USEFUL: Final = frozenset((ProcessorState.RUNNING,))


class Supervisor:
    """``look`` is to be called once a second. Without a target it runs ``own_count`` processors."""

    def __init__(self, client: "redis.Redis", processors: ProcessorFleet, own_count: int, shards: int) -> None:
        self.name = f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(2)}"
        self._orders = FleetOrders(client)
        self._supervisors = Supervisors(client)
        self._redis = client
        self._processors = processors
        self._own_count = own_count
        self._shards = shards
        self._wanted = own_count
        self._version = 0
        self._scale = AutoScale()

    def look(self) -> list[str]:
        """Read the target, scale if that is this one's part, and converge; what happened, in words.

        While Redis is away everything stays as it is. Raises HaltError when a processor crashes again and again.
        """
        news = []
        try:
            names = [one.name for one in self._supervisors.all()]
            target = self._orders.target()
            if target is not None and target.auto is not None and self.name == min([*names, self.name]):
                target, said = self._follow_lag(target, target.auto)
                news += said
            wanted = self._own_count if target is None else share_of(self.name, names, target.count)
            self._version = 0 if target is None else target.version
            if wanted != self._wanted:
                news.append(f"{wanted} processors are wanted here" + _of_all(target))
                self._wanted = wanted
        except redis.RedisError:
            pass  # who watches this one is told by the line of what flows
        news += self._processors.converge(self._wanted)
        news += self._processors.keep_up()
        self._tell("")
        return news

    def leave(self, trouble: str = "") -> None:
        """Be gone for the others, or stay for a while with what went wrong."""
        if trouble:
            self._tell(trouble)
            return
        try:
            self._supervisors.leave(self.name)
        except redis.RedisError:
            return  # it expires by itself

    def _follow_lag(self, target: FleetTarget, auto: AutoPolicy) -> tuple[FleetTarget, list[str]]:
        states = {one.state for one in read_processor_status(self._redis, self._shards)}
        events = [one for one in read_stream_status(self._redis, self._shards) if one.name == "events"]
        age_seconds = max(one.oldest_age_seconds for one in events)
        if target.count > 0 and not states & _USEFUL:
            return target, []  # all wait for a server or a person: more of them would wait too
        count = self._scale.look(time.monotonic(), age_seconds, target.count, auto)
        if count == target.count or not self._orders.adjust(target.version, count):
            return target, []
        said = f"the oldest event waits for {age_seconds:.1f} s, {auto.target_lag_seconds:g} s are wanted"
        return FleetTarget(count, target.version, auto), [f"{said}: {count} processors instead of {target.count}"]

    def _tell(self, trouble: str) -> None:
        processors = self._processors
        status = SupervisorStatus(
            self.name,
            socket.gethostname(),
            self._wanted,
            processors.running,
            processors.leaving,
            self._version,
            trouble,
        )
        try:
            self._supervisors.tell(status)
        except redis.RedisError:
            return  # the others take over its share, and give it back


def _of_all(target: FleetTarget | None) -> str:
    return ", as its settings say" if target is None else f", of {target.count} in all"


def supervise(supervisor: Supervisor, say: Callable[[str], None], pause: Callable[[], bool]) -> None:
    """Look again and again until ``pause`` says to stop. Raises HaltError, and tells the others, when it gives up."""
    trouble = "it ended"
    try:
        while not pause():
            for news in supervisor.look():
                say(news)
        trouble = ""
    except Exception as error:
        trouble = str(error)
        raise
    finally:
        supervisor.leave(trouble)
