"""The services of one machine: started together, watched, and stopped in the order in which events flow."""

import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Final

from deploy.embedded.child_process import last_lines
from deploy.fleet.metrics_targets import MetricsTargets
from deploy.fleet.processor_fleet import ProcessorFleet
from deploy.fleet.service_process import ServiceProcess
from deploy.services.certificate import trust_of_own
from shared.errors import HaltError
from shared.settings import Settings, environment_name, environment_of

_READY_SECONDS: Final = 60.0
_SLOW_SECONDS: Final = 5.0
# With those of the servers (`deploy.fleet.servers`) less than 10 s in all, whatever hangs.
_STOP_FRONT_SECONDS: Final = 3.0
_STOP_PROCESSORS_SECONDS: Final = 3.0
_DRAIN_SECONDS: Final = 2.0
"""What a service may take to drain: it is to end by itself before it is killed."""


class Fleet:
    """The gateway, the analytics API and the processors."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        data_dir = settings.data_dir.absolute()
        logs = log_folder(settings)
        drain_seconds = min(settings.drain_seconds, _DRAIN_SECONDS)
        environment = {
            **environment_of(settings),
            "WEIR_DATA_DIR": str(data_dir),
            environment_name("drain_seconds"): str(drain_seconds),
        }
        self.front = [ServiceProcess(name, [name, "run"], environment, logs) for name in ("gateway", "analytics")]
        targets = MetricsTargets(settings, front=True)
        self.processors = ProcessorFleet(environment, logs, settings.drain_seconds, targets)

    def start(self, is_stopping: Callable[[], bool], tell: Callable[[str], None]) -> None:
        """Start all and wait until both front services are ready; one that takes long is told of.

        Raises HaltError for one that ends, or is not ready in a minute.
        """
        settings = self._settings
        for service in self.front:
            service.start()
        self.processors.converge(settings.processors)
        places = ((settings.gateway_host, settings.gateway_port), (settings.analytics_host, settings.analytics_port))
        began = time.monotonic()
        for service, (host, port) in zip(self.front, places, strict=True):
            said = False
            while not _is_ready(host, port, settings.tls_certificate) and not is_stopping():
                waited_seconds = time.monotonic() - began
                if service.pid is None or waited_seconds > _READY_SECONDS:
                    raise HaltError(
                        f"{service.name} does not become ready on {host}:{port}; "
                        f"its log is {service.log} and ends: {last_lines(service.log)}"
                    )
                if waited_seconds > _SLOW_SECONDS and not said:
                    said = True
                    tell(f"{service.name} runs, but is not ready on {host}:{port} yet; its log is {service.log}")
                time.sleep(0.05)

    def keep_up(self) -> list[str]:
        """Start crashed front services again; what happened, in words. Raises HaltError when one does so too often."""
        return [news for service in self.front if (news := service.keep_up()) is not None]

    def stop(self) -> list[str]:
        """Stop what takes events in, then what stores them; the names of those that had to be killed."""
        killed = _stop(self.front, _STOP_FRONT_SECONDS)
        return killed + self.processors.stop(_STOP_PROCESSORS_SECONDS)


def log_folder(settings: Settings) -> Path:
    """Where the services of this data directory log to; made if it is not there."""
    logs = settings.data_dir.absolute() / "logs"
    logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    return logs


def _stop(services: list[ServiceProcess], seconds: float) -> list[str]:
    for service in services:
        service.ask_to_stop()
    deadline = time.monotonic() + seconds
    return [service.name for service in services if not service.wait(deadline)]


def _is_ready(host: str, port: int, certificate: Path | None) -> bool:
    reached = "127.0.0.1" if host in {"0.0.0.0", ""} else host  # noqa: S104
    if certificate is None:
        connection = HTTPConnection(reached, port, timeout=1)
    else:
        connection = HTTPSConnection(reached, port, timeout=1, context=trust_of_own(certificate))
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
