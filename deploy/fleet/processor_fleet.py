"""The processors of one machine: as many as are wanted, started at once, drained before they end."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from deploy.fleet.metrics_targets import MetricsTargets
from deploy.fleet.service_process import ServiceProcess
from shared.settings import environment_name

_BEYOND_DRAIN_SECONDS: Final = 3.0
_METRICS_PORT: Final = environment_name("processor_metrics_port")


class ProcessorFleet:
    """Owns the processes. ``drain_seconds`` is what a processor itself takes at most to end."""

    def __init__(
        self, environment: Mapping[str, str], logs: Path, drain_seconds: float, targets: MetricsTargets
    ) -> None:
        self._environment = environment
        self._logs = logs
        self._targets = targets
        self._patience_seconds = drain_seconds + _BEYOND_DRAIN_SECONDS
        self._running: dict[int, ServiceProcess] = {}
        self._leaving: list[tuple[ServiceProcess, float]] = []

    @property
    def running(self) -> int:
        """Processes that run, or are started again after a crash."""
        return sum(service.pid is not None for service in self._running.values())

    @property
    def leaving(self) -> int:
        """Processes that were asked to end and drain."""
        return len(self._leaving)

    def converge(self, wanted: int) -> list[str]:
        """Start or drain until ``wanted`` are meant to run; what was done, in words. Does not wait for either."""
        news = []
        while len(self._running) < wanted:
            number = next(number for number in range(1, wanted + 1) if number not in self._running)
            self._running[number] = service = self._new(number)
            service.start()
            news.append(f"{service.name} is started")
        while len(self._running) > wanted:
            number = max(self._running)
            service = self._running.pop(number)
            self._targets.remove(number)
            service.ask_to_stop()
            self._leaving.append((service, time.monotonic() + self._patience_seconds))
            news.append(f"{service.name} drains and ends")
        return news

    def keep_up(self) -> list[str]:
        """Start crashed ones again, and see the leaving ones off; what happened, in words.

        Raises HaltError when one crashes again and again.
        """
        news = [said for service in self._running.values() if (said := service.keep_up()) is not None]
        leaving, self._leaving = self._leaving, []
        for service, deadline in leaving:
            if service.pid is not None and time.monotonic() < deadline:
                self._leaving.append((service, deadline))
            elif not service.wait(time.monotonic()):
                news.append(f"{service.name} did not drain in time and was killed; others take over what it held")
        return news

    def stop(self, seconds: float) -> list[str]:
        """Drain all within so many seconds; the names of those that had to be killed."""
        services = [*self._running.values(), *(service for service, _ in self._leaving)]
        for service in services:
            service.ask_to_stop()
        deadline = time.monotonic() + seconds
        return [service.name for service in services if not service.wait(deadline)]

    def _new(self, number: int) -> ServiceProcess:
        environment = {**self._environment, _METRICS_PORT: str(self._targets.add(number))}
        return ServiceProcess(f"processor-{number}", ["processor", "run"], environment, self._logs)
