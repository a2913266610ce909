"""The analytics API as tests see it: a real uvicorn on a port of its own, its keys, and a client."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx2
import psycopg
import redis.asyncio
import uvicorn
from psycopg_pool import AsyncConnectionPool

from analytics_api.app import build_app
from analytics_api.config import AnalyticsConfig
from analytics_api.live.live import Live, LiveLimits
from analytics_api.reader import Reader, configure_reader
from deploy.endpoints import with_role
from deploy.services.websocket_protocol import WEBSOCKET_OPTIONS
from shared.api_keys import Peppers, Scope
from shared.key_ring import KeyRing
from shared.key_store import create_key

PEPPER = b"a pepper for tests"


class AnalyticsUnderTest:
    """Calls with the admin's key unless told otherwise."""

    def __init__(self, database_url: str, base_url: str, live: Live | None = None) -> None:
        self.live = live
        self.database_url = database_url
        self.base_url = base_url
        self.http = httpx2.Client(base_url=base_url, timeout=30)
        self.admin = self.make_key("operators", Scope.ADMIN)

    def make_key(self, client_id: str, *scopes: Scope) -> str:
        async def make() -> str:
            async with await psycopg.AsyncConnection.connect(self.database_url, autocommit=True) as connection:
                _, key = await create_key(
                    connection, PEPPER, client_id=client_id, name="test", scopes=frozenset(scopes)
                )
                return key

        return asyncio.run(make())

    def reader(self, client_id: str) -> str:
        return self.make_key(client_id, Scope.READ)

    def get(self, path: str, parameters: Any = None, *, key: str | None = "") -> httpx2.Response:
        headers = {} if key is None else {"X-API-Key": key or self.admin}
        return self.http.get(path, params=parameters, headers=headers)

    def json(self, path: str, parameters: Any = None, *, key: str | None = "") -> Any:
        answer = self.get(path, parameters, key=key)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refused(self, path: str, parameters: Any = None, *, key: str | None = "") -> tuple[int, str]:
        """Status and problem type of an answer that must be a problem document."""
        answer = self.get(path, parameters, key=key)
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        document = answer.json()
        assert document["status"] == answer.status_code
        assert document["request_id"] == answer.headers["x-request-id"]
        return answer.status_code, document["type"].removeprefix("/problems/")


def event_path(event_id: str) -> str:
    return f"/api/v1/events/{quote(event_id, safe='')}"


@contextmanager
def serve_analytics(database_url: str, redis_url: str, **changes: Any) -> Iterator[AnalyticsUnderTest]:
    """Serve until the block ends; `changes` are fields of AnalyticsConfig."""
    fields: dict[str, Any] = {
        "instance": "analytics-test",
        "shards": 1,
        "rate_limit": 0,
        "window_seconds": 60,
        "statement_timeout_ms": 10_000,
    }
    config = AnalyticsConfig(**{**fields, **changes})
    reader_url = with_role(database_url, "weir_reader")
    made: list[Live] = []
    with _in_thread(lambda ready: _serve(config, reader_url, redis_url, made, ready)) as port:
        yield AnalyticsUnderTest(database_url, f"http://127.0.0.1:{port}", made[0])


async def _serve(
    config: AnalyticsConfig,
    reader_url: str,
    redis_url: str,
    made: list[Live],
    ready: Callable[[uvicorn.Server], None],
) -> None:
    client = redis.asyncio.Redis.from_url(redis_url, socket_timeout=2, socket_connect_timeout=2)
    pool = AsyncConnectionPool(
        reader_url, min_size=1, max_size=4, open=False, configure=configure_reader(config.statement_timeout_ms),
        check=AsyncConnectionPool.check_connection,
    )  # fmt: skip
    async with client, pool:
        key_ring = KeyRing(pool, Peppers(PEPPER), fresh_seconds=2, grace_seconds=60)
        reader = Reader(pool, config.statement_timeout_ms)
        live = Live(reader, client, client, config.shards, key_ring, LiveLimits(viewers=8, viewers_per_key=4))
        live.start()
        made.append(live)
        server = uvicorn.Server(
            uvicorn.Config(
                build_app(config, pool, client, key_ring, live),
                port=0,
                log_level="error",
                lifespan="on",
                **WEBSOCKET_OPTIONS,
            )
        )
        ready(server)
        await server.serve()
        await live.close()


@contextmanager
def _in_thread(serve: Callable[[Callable[[uvicorn.Server], None]], Any]) -> Iterator[int]:
    servers: list[uvicorn.Server] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(serve(servers.append))
        except BaseException as failure:  # noqa: BLE001  shown by the test that waits for it
            failures.append(failure)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while not (servers and servers[0].started):
        thread.join(0.01)
        assert thread.is_alive(), failures
    try:
        yield servers[0].servers[0].sockets[0].getsockname()[1]
    finally:
        servers[0].should_exit = True
        thread.join(15)
        assert not thread.is_alive()
        assert not failures
