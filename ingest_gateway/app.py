"""The gateway as one ASGI application: the two ingest calls beside FastAPI's control plane."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg
import redis.asyncio
import structlog
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from ingest_gateway.config import GatewayConfig
from ingest_gateway.failed_event_routes import failed_event_routes
from ingest_gateway.health import health_routes
from ingest_gateway.ingest import IngestEndpoint
from ingest_gateway.ingest_paths import PATHS
from ingest_gateway.key_routes import key_routes
from ingest_gateway.metrics import GatewayMetrics, register_state
from ingest_gateway.openapi import ingest_paths
from ingest_gateway.publisher import Publisher
from ingest_gateway.redis_memory import shard_memories
from ingest_gateway.storage_wait import StorageWait
from shared.access import AccessConfig, AccessLayer
from shared.answers import Answer, AsgiApp, Receive, Scope, Send
from shared.home_page import HOME_PATH, home_routes
from shared.key_ring import KeyRing
from shared.measured import measured
from shared.openapi_access import documented
from shared.problem_handlers import install_problem_handlers

log = structlog.get_logger()

PUBLIC_PATHS: Final = frozenset((HOME_PATH, "/healthz", "/readyz", "/api/v1/health", "/metrics"))
_KEYS_SECONDS: Final = 30


def build_app(
    config: GatewayConfig,
    pool: AsyncConnectionPool[Any],
    client: "redis.asyncio.Redis",
    key_ring: KeyRing,
    pepper: bytes,
) -> "GatewayApp":
    """The application. Pool and client are the caller's to open and close; lifespan drains what is in flight."""
    metrics = GatewayMetrics()
    memories = shard_memories(client, config.backlog_limit_bytes, config.shards)
    publishers = [Publisher(client, config, shard, memories[shard]) for shard in range(config.shards)]
    register_state(metrics, config, pool, memories, publishers)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(_keep_keys(key_ring))]
        tasks += [asyncio.create_task(memory.watch()) for memory in {*memories}]
        yield
        for task in tasks:
            task.cancel()
        for publisher in publishers:
            await publisher.drain()

    control = FastAPIOffline(
        title="Weir ingest gateway",
        version="1",
        lifespan=lifespan,
        description="Takes events in and holds them safely.",
        static_url="/docs/assets",
    )
    install_problem_handlers(control, "invalid-request")
    control.include_router(home_routes("/docs"))
    control.include_router(key_routes(pool, pepper))
    control.include_router(failed_event_routes(pool, client, config.shards))
    control.include_router(health_routes(pool, client, metrics, config))
    control.openapi = documented(control, PUBLIC_PATHS, ingest_paths(), "invalid-request")  # type: ignore[method-assign]  # FastAPI's documented way
    access = AccessConfig(
        "gateway", config.instance, config.shards, config.rate_limit, config.window_seconds, PUBLIC_PATHS,
        body_timeout_seconds=config.body_timeout_seconds, audit_backlog_limit=config.backlog_limit_records,
        strangers=config.strangers,
    )  # fmt: skip
    access_layer = AccessLayer(control, access, key_ring, client)
    ingest = IngestEndpoint(config, key_ring, publishers, StorageWait(client), metrics, access_layer.strangers)
    behind_access = measured(
        access_layer, lambda method, route, status, seconds: metrics.count_request(route, status, seconds)
    )

    return GatewayApp(ingest, behind_access)


class GatewayApp:
    """An ASGI application, and what a server may ask before it."""

    def __init__(self, ingest: IngestEndpoint, others: AsgiApp) -> None:
        self._ingest = ingest
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in PATHS:
            await self._ingest(scope, receive, send)
        else:
            await self._others(scope, receive, send)

    def begin(self, scope: Scope, body: bytes, answer: Answer) -> bool:
        """See ``shared.answers.Begin``: only ingest calls can be begun so."""
        return scope["path"] in PATHS and self._ingest.begin(scope, body, answer)


async def _keep_keys(key_ring: KeyRing) -> None:
    """When keys were last used, and the new hashes of those that were proved under the SECRET_KEY before."""
    while True:
        await asyncio.sleep(_KEYS_SECONDS)
        try:
            await key_ring.flush_last_used()
            if renewed := await key_ring.flush_renewals():
                log.info("keys.renewed", keys=renewed)
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("keys.not_written", error=type(error).__name__)
