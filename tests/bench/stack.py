"""Fresh servers, a gateway and processors, as processes of their own, for one kind of Redis."""

import asyncio
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psycopg

from deploy.embedded import binaries
from deploy.embedded.child_process import ChildProcess, Launch, last_lines
from deploy.embedded.local_address import free_port
from deploy.embedded.postgres_server import EmbeddedPostgres
from deploy.embedded.redis_server import EmbeddedRedis
from deploy.embedded.server_user import ServerUser
from deploy.migrations import migrate
from shared.api_keys import Scope
from shared.key_store import create_key

_SOURCE = Path(__file__).parents[2]
_CLI = "import sys; from deploy.cli import main; main()"
_READY_SECONDS = 30.0
_STOP_SECONDS = 15.0
_RATE_LIMIT = 10_000_000
"""High enough never to be met, and finite, so the sliding window is at work."""

KINDS: Mapping[str, tuple[str, Callable[[], Path]]] = {
    "redis8": ("Redis 8.2", binaries.falkordb_redis_server),
    "valkey": ("Valkey", binaries.valkey_server),
}


@dataclass(frozen=True)
class Stack:
    """What a benchmark talks to."""

    redis: EmbeddedRedis
    postgres: EmbeddedPostgres
    gateway: ChildProcess
    processors: list[ChildProcess]
    gateway_url: str
    key: str
    environment: Mapping[str, str]
    folder: Path

    @property
    def parts(self) -> dict[str, list[int]]:
        """The processes of each part, for /proc."""
        return {
            "gateway": [self.gateway.pid],
            "processor": [processor.pid for processor in self.processors],
            "redis": [self.redis.pid],
            "postgres": [self.postgres.pid],
        }

    def assert_alive(self) -> None:
        """Raises AssertionError when the gateway or a processor has ended."""
        for name, process in [("gateway", self.gateway), *(("processor", one) for one in self.processors)]:
            assert process.exit_code is None, f"a {name} ended with code {process.exit_code}"

    @property
    def versions(self) -> dict[str, str]:
        return {"redis": self.redis.version, "postgres": self.postgres.version}


@contextmanager
def running_stack(
    kind: str,
    processors: int,
    folder: Path,
    *,
    redis_config: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Stack]:
    """Everything up and ready; stopped at the end, in the order in which nothing is lost."""
    with ExitStack() as stack:
        redis = stack.enter_context(EmbeddedRedis(folder / "redis", binary=KINDS[kind][1](), extra_config=redis_config))
        postgres = stack.enter_context(EmbeddedPostgres(folder / "postgres"))
        migrate(postgres.url)
        port, secret = free_port(), secrets.token_hex(32)
        environment = {
            "PYTHONPATH": str(_SOURCE),
            "DATABASE_URL": postgres.url,
            "REDIS_URL": redis.url,
            "SECRET_KEY": secret,
            "WEIR_DATA_DIR": str(folder / "data"),
            "WEIR_GATEWAY_PORT": str(port),
            "WEIR_LOG_LEVEL": "warning",
            **(settings or {}),
        }
        gateway_url = f"http://127.0.0.1:{port}"
        workers = [_started(stack, folder, environment, "processor", n) for n in range(processors)]
        gateway = _started(stack, folder, environment, "gateway", 0)
        _await_ready(gateway_url, gateway, folder / "gateway-0.log")
        key = asyncio.run(_make_key(postgres.url, secret.encode(), "bench"))
        try:
            yield Stack(redis, postgres, gateway, workers, gateway_url, key, environment, folder)
        except AssertionError as error:
            # The logs go with the folder; what they say last is why.
            for log in sorted(folder.glob("*.log")):
                error.add_note(f"{log.name}: {last_lines(log)}")
            raise


@contextmanager
def another_gateway(stack: Stack, number: int) -> Iterator[tuple[str, ChildProcess]]:
    """One more gateway on the stack's servers, ready: its address and its process."""
    port = free_port()
    url, environment = f"http://127.0.0.1:{port}", {**stack.environment, "WEIR_GATEWAY_PORT": str(port)}
    with ExitStack() as started:
        process = _started(started, stack.folder, environment, "gateway", number)
        _await_ready(url, process, stack.folder / f"gateway-{number}.log")
        yield url, process


def make_key(stack: Stack, client_id: str) -> str:
    """A key of that client, with the limit of the bench's own."""
    return asyncio.run(_make_key(stack.postgres.url, stack.environment["SECRET_KEY"].encode(), client_id))


def _started(stack: ExitStack, folder: Path, environment: Mapping[str, str], part: str, number: int) -> ChildProcess:
    log = folder / f"{part}-{number}.log"
    arguments = [sys.executable, "-c", _CLI, part, "run"]
    launch = Launch(arguments, ServerUser.ourselves(), log, signal.SIGTERM, environment=environment)
    process = ChildProcess(launch)
    stack.callback(process.stop, signal.SIGTERM, _STOP_SECONDS)
    return process


def _await_ready(url: str, gateway: ChildProcess, log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        assert gateway.exit_code is None, f"the gateway ended: {last_lines(log)}"
        try:
            if httpx2.get(f"{url}/readyz").status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"the gateway was not ready in {_READY_SECONDS} s: {last_lines(log)}")


async def _make_key(url: str, pepper: bytes, client_id: str) -> str:
    scopes = frozenset((Scope.INGEST,))
    async with await psycopg.AsyncConnection.connect(url) as connection:
        made = await create_key(
            connection, pepper, client_id=client_id, name="bench", scopes=scopes, rate_limit=_RATE_LIMIT
        )
    return made[1]
