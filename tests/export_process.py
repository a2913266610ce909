"""An analytics API as a process of its own, whose memory can be looked at."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.analytics_server import PEPPER
from tests.gateway_process import ServiceProcess
from tests.waiting import eventually

EXPORT = "/api/v1/events/export"


@dataclass(frozen=True)
class ExportProcess:
    """`http` has no time-out worth the name; `key` is the caller's to make."""

    service: ServiceProcess
    http: httpx2.Client

    def resident_bytes(self, which: str = "VmRSS") -> int:
        """`VmRSS` now, `VmHWM` the most there ever was."""
        status = Path(f"/proc/{self.service.process.pid}/status").read_text()
        found = re.search(rf"{which}:\s+(\d+) kB", status)
        assert found
        return int(found[1]) * 1024

    def exported_bytes(self, key: str, query: dict[str, Any]) -> int:
        """The length of an export, which is read and thrown away."""
        with self.http.stream("GET", EXPORT, params=query, headers={"X-API-Key": key}) as answer:
            assert answer.status_code == 200
            return sum(map(len, answer.iter_raw()))


@contextmanager
def running_export_process(database_url: str, redis_url: str, folder: Path) -> Iterator[ExportProcess]:
    """Ready, without a rate limit."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        "DATABASE_URL": database_url, "REDIS_URL": redis_url, "SECRET_KEY": PEPPER.decode(),
        "WEIR_ANALYTICS_PORT": str(port), "RATE_LIMIT_REQUESTS_PER_MINUTE": "0",
    }  # fmt: skip
    service = ServiceProcess(["analytics", "run"], folder, environment)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=600) as http:
            eventually(lambda: _is_ready(service, http), within_seconds=30, what="the analytics API is ready")
            yield ExportProcess(service, http)
    finally:
        service.stop()


def _is_ready(service: ServiceProcess, http: httpx2.Client) -> bool:
    assert service.process.poll() is None, service.logs()
    try:
        return http.get("/readyz").status_code == 200
    except httpx2.TransportError:
        return False
