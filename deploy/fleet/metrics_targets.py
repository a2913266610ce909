"""Where the metrics of a `weir up` are: each processor has a port of its own, and Prometheus finds all in one file."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from deploy.embedded.local_address import free_port
from shared.errors import SettingsError
from shared.settings import Settings, environment_name

TARGETS_FILE: Final = "metrics-targets.json"
"""In the data directory, as Prometheus' file_sd_configs reads it; see deploy/prometheus/local.yml."""
_LAST_PORT: Final = 65_535


def processor_ports(settings: Settings, processors: int) -> list[int]:
    """A port for each: WEIR_PROCESSOR_METRICS_PORT and those that follow it, or free ones when it is 0.

    Raises SettingsError when there are not so many.
    """
    first = settings.processor_metrics_port
    if first:
        if first + processors - 1 > _LAST_PORT:
            variable = environment_name("processor_metrics_port")
            raise SettingsError(
                f"{processors} processors need as many ports from {variable}={first} on, and the last one is "
                f"{_LAST_PORT}: set a lower one, or 0 for free ones",
                variable=variable,
            )
        return list(range(first, first + processors))
    ports: list[int] = []
    while len(ports) < processors:
        port = free_port()
        if port not in ports:
            ports.append(port)
    return ports


def write_targets(settings: Settings, data_dir: Path, ports: Sequence[int]) -> Path:
    """Write all places where metrics are served; atomic, for Prometheus reads it whenever it changes."""
    places = [
        ("weir-gateway", "gateway", settings.gateway_host, settings.gateway_port),
        ("weir-analytics", "analytics", settings.analytics_host, settings.analytics_port),
    ]
    host = settings.processor_metrics_host
    places += [("weir-processor", f"processor-{number}", host, port) for number, port in enumerate(ports, 1)]
    groups = [
        {"targets": [f"{_reachable(host)}:{port}"], "labels": {"job": job, "part": part}}
        for job, part, host, port in places
    ]
    path, draft = data_dir / TARGETS_FILE, data_dir / f".{TARGETS_FILE}.{os.getpid()}"
    draft.write_text(json.dumps(groups, indent=1) + "\n")
    draft.replace(path)
    return path


def _reachable(host: str) -> str:
    """An address to call, of one to listen on."""
    if host in {"", "0.0.0.0", "::"}:  # noqa: S104
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
