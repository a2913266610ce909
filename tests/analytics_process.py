"""The analytics API as its users meet it: a process of its own, real HTTP, real servers behind it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from shared.api_keys import Scope
from tests.gateway_process import SECRET_KEY, ServiceProcess, store_key
from tests.waiting import eventually


@dataclass(frozen=True)
class AnalyticsProcess:
    """Its port, and what its tests look at."""

    service: ServiceProcess
    port: int
    database_url: str

    def make_key(self, client_id: str, *scopes: Scope) -> str:
        """A key made behind its back."""
        return store_key(self.database_url, client_id, *scopes)


@contextmanager
def running_analytics(
    folder: Path, database_url: str, redis_url: str, **environment: str
) -> Iterator[AnalyticsProcess]:
    """An analytics API without a rate limit unless the environment sets one; ready."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {
        "DATABASE_URL": database_url, "REDIS_URL": redis_url, "SECRET_KEY": SECRET_KEY,
        "WEIR_ANALYTICS_PORT": str(port), "RATE_LIMIT_REQUESTS_PER_MINUTE": "0", "WEIR_LOG_FORMAT": "json",
    }  # fmt: skip
    service = ServiceProcess(["analytics", "run"], folder, settings | environment)
    try:
        eventually(lambda: _is_ready(service, port), within_seconds=30, what="the analytics API is ready")
        yield AnalyticsProcess(service, port, database_url)
    finally:
        service.stop()


def _is_ready(service: ServiceProcess, port: int) -> bool:
    assert service.process.poll() is None, service.logs()
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/readyz", timeout=10).status_code == 200
    except httpx2.TransportError:
        return False
