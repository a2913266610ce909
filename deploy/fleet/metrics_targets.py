"""Where the metrics of one machine are: each processor has a port of its own, and Prometheus finds all in one file."""

import contextlib
import json
import os
from typing import Final

from deploy.embedded.local_address import free_port, port_is_free
from shared.settings import Settings

TARGETS_FILE: Final = "metrics-targets.json"
SUPERVISED_FILE: Final = "metrics-targets-supervised.json"
"""In the data directory, as Prometheus' file_sd_configs reads them: that of `weir up`, and that of a machine that only
supervises processors. See deploy/prometheus/local.yml."""
_LAST_PORT: Final = 65_535


class MetricsTargets:
    """Gives ports to processors by their number, and writes where all parts are whenever that changes."""

    def __init__(self, settings: Settings, *, front: bool) -> None:
        """``front``: the gateway and the analytics API run here too."""
        self._settings = settings
        self._front = front
        self._path = settings.data_dir.absolute() / (TARGETS_FILE if front else SUPERVISED_FILE)
        self._ports: dict[int, int] = {}

    def add(self, number: int) -> int:
        """A port for a processor that starts: the first one free from WEIR_PROCESSOR_METRICS_PORT on, or any."""
        self._ports[number] = port = self._pick()
        self._write()
        return port

    def remove(self, number: int) -> None:
        """That processor ends."""
        self._ports.pop(number, None)
        self._write()

    def _pick(self) -> int:
        first, taken = self._settings.processor_metrics_port, set(self._ports.values())
        counted = range(first, _LAST_PORT + 1) if first else range(0)
        found = next((port for port in counted if port not in taken and port_is_free(port)), 0)
        while not found or found in taken:
            found = free_port()
        return found

    def _write(self) -> None:
        """Atomic, for Prometheus reads it whenever it changes. A full disk costs the list, not the processors."""
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            draft.write_text(json.dumps(self._groups(), indent=1) + "\n")
            draft.replace(self._path)

    def _groups(self) -> list[dict[str, object]]:
        settings = self._settings
        places = [
            ("weir-gateway", "gateway", settings.gateway_host, settings.gateway_port),
            ("weir-analytics", "analytics", settings.analytics_host, settings.analytics_port),
        ]
        places = places if self._front else []
        host = settings.processor_metrics_host
        places += [("weir-processor", f"processor-{number}", host, port) for number, port in self._ports.items()]
        return [
            {"targets": [f"{_reachable(host)}:{port}"], "labels": {"job": job, "part": part}}
            for job, part, host, port in places
        ]


def _reachable(host: str) -> str:
    """An address to call, of one to listen on."""
    if host in {"", "0.0.0.0", "::"}:  # noqa: S104
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
