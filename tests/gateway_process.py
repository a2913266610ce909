"""The gateway as its users meet it: a process of its own, real HTTP, real servers behind it."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit, urlunsplit

import httpx2
import psycopg

from shared.api_keys import Scope
from shared.key_store import create_key
from tests.waiting import eventually

SECRET_KEY = "the pepper of the tests"
INGEST, BATCH, KEYS = "/api/v1/events/ingest", "/api/v1/events/batch", "/api/v1/keys/"
ROOT = Path(__file__).resolve().parent.parent


class ServiceProcess:
    """`weir ARGUMENTS` with nothing in its environment but what is given."""

    def __init__(self, arguments: list[str], folder: Path, environment: dict[str, str]) -> None:
        self._log = folder / f"{'-'.join(arguments)}-{os.urandom(3).hex()}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from deploy.cli import main; main()", *arguments],
                cwd=folder, stdout=log, stderr=subprocess.STDOUT,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "WEIR_DATA_DIR": str(folder / "data")}
                | environment,
            )  # fmt: skip

    def logs(self) -> str:
        return self._log.read_text()

    def terminate(self) -> None:
        """Ask it to end; returns at once."""
        self.process.send_signal(signal.SIGTERM)

    def ended(self, within_seconds: float = 15) -> int:
        """Its exit code."""
        return self.process.wait(within_seconds)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.terminate()
        try:
            self.ended()
        finally:
            self.process.kill()


def store_key(database_url: str, client_id: str, *scopes: Scope, **columns: Any) -> str:
    """A new key, written straight into the database."""

    async def store() -> str:
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
            _, key = await create_key(
                connection, SECRET_KEY.encode(), client_id=client_id, name="t", scopes=frozenset(scopes), **columns
            )
            return key

    return asyncio.run(store())


class GatewayUnderTest:
    """Calls it with the key of client `acme`, scope ingest, unless told otherwise."""

    def __init__(self, service: ServiceProcess, port: int, database_url: str, redis_url: str) -> None:
        self.service = service
        self.port = port
        self.database_url = database_url
        self.redis_url = redis_url
        self.http = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)

    def prepare_keys(self) -> None:
        self.admin = self.make_key("operators", Scope.ADMIN)
        self.key = self.make_key("acme", Scope.INGEST)

    def make_key(self, client_id: str, *scopes: Scope, **columns: Any) -> str:
        """A key made behind the gateway's back."""
        return store_key(self.database_url, client_id, *scopes, **columns)

    def call(
        self, method: str, path: str, *, key: str | None = "", headers: dict[str, str] | None = None, **rest: Any
    ) -> httpx2.Response:
        """`key`: None sends none, the empty one is the client's."""
        credentials = {} if key is None else {"X-API-Key": key or self.key}
        return self.http.request(method, path, headers={**credentials, **(headers or {})}, **rest)

    def ingest(self, event: dict[str, Any], **rest: Any) -> httpx2.Response:
        return self.call("POST", INGEST, json=event, **rest)

    def batch(self, events: list[Any], **rest: Any) -> httpx2.Response:
        return self.call("POST", BATCH, json={"events": events}, **rest)

    def post(self, path: str, body: bytes, **rest: Any) -> httpx2.Response:
        """Bytes as they are, as JSON unless the headers say otherwise."""
        headers = {"Content-Type": "application/json", **rest.pop("headers", {})}
        return self.call("POST", path, content=body, headers=headers, **rest)

    def manage(self, method: str, path: str = "", **rest: Any) -> httpx2.Response:
        """A call for keys, by the admin."""
        return self.call(method, KEYS + path, key=self.admin, **rest)

    @contextmanager
    def connection(self) -> Iterator[socket.socket]:
        """A bare connection, for what no HTTP library would send."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as sock:
            yield sock


_made = iter(range(10**9))


def new_event(**fields: Any) -> dict[str, Any]:
    """A valid event with an id of its own."""
    return {"event_id": f"e{next(_made)}", "event_type": "order.paid", "payload": {"amount": 1}, **fields}


def refusal(answer: httpx2.Response) -> tuple[int, str]:
    """Status and problem type of an answer that must be a problem document, whole and no larger than need be."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text[:500]
    document = answer.json()
    assert document["status"] == answer.status_code
    assert document["title"]
    assert document["request_id"] == answer.headers["x-request-id"]
    assert len(document.get("errors", [])) <= 20
    assert len(answer.content) < 10_000
    if answer.status_code in (429, 503):
        assert int(answer.headers["retry-after"]) >= 1
    return answer.status_code, document["type"].removeprefix("/problems/")


def read_answer(source: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of what comes until the other side closes."""
    stream: IO[bytes] = source.makefile("rb")
    status = int(stream.readline().split()[1])
    headers = {}
    while line := stream.readline().strip():
        name, _, value = line.decode().partition(": ")
        headers[name.lower()] = value
    return status, headers, stream.read(int(headers.get("content-length", 0)))


def problem_type(body: bytes) -> str:
    type_: str = json.loads(body)["type"]
    return type_.removeprefix("/problems/")


@contextmanager
def running_gateway(folder: Path, database_url: str, redis_url: str, **environment: str) -> Iterator[GatewayUnderTest]:
    """A gateway without a rate limit unless the environment sets one; ready, with keys."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {
        "DATABASE_URL": database_url, "REDIS_URL": redis_url, "SECRET_KEY": SECRET_KEY,
        "WEIR_GATEWAY_PORT": str(port), "RATE_LIMIT_REQUESTS_PER_MINUTE": "0", "WEIR_LOG_FORMAT": "json",
    }  # fmt: skip
    service = ServiceProcess(["gateway", "run"], folder, settings | environment)
    try:
        gateway = GatewayUnderTest(service, port, database_url, redis_url)
        eventually(lambda: _is_ready(gateway), within_seconds=60, what="the gateway is ready")
        gateway.prepare_keys()
        yield gateway
        gateway.http.close()
    finally:
        service.stop()


@contextmanager
def running_processor(folder: Path, database_url: str, redis_url: str) -> Iterator[ServiceProcess]:
    service = ServiceProcess(["processor", "run"], folder, {"DATABASE_URL": database_url, "REDIS_URL": redis_url})
    try:
        yield service
    finally:
        service.stop()


def redis_database(url: str, number: int) -> str:
    """`url`, leading to another database of the same Redis: keys of its own for a gateway."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{number}"))


def _is_ready(gateway: GatewayUnderTest) -> bool:
    assert gateway.service.process.poll() is None, gateway.service.logs()
    try:
        return gateway.http.get("/readyz").status_code == 200
    except httpx2.TransportError:
        return False
