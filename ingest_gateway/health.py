"""Is the gateway alive, and can it do its work? Served without a key."""

import asyncio
from typing import Any, Final

import orjson
import psycopg
import redis.asyncio
from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from redis.exceptions import RedisError
from starlette.responses import PlainTextResponse

from ingest_gateway.config import GatewayConfig
from ingest_gateway.durability import read_fsync_policy
from ingest_gateway.metrics import GatewayMetrics
from shared.deadline import within
from shared.openapi_access import HEALTH_ANSWERS
from shared.redis_nodes import ping_shards

_TIMEOUT_SECONDS: Final = 1.5


def health_routes(
    pool: AsyncConnectionPool[Any], client: "redis.asyncio.Redis", metrics: GatewayMetrics, config: GatewayConfig
) -> APIRouter:
    """``/healthz`` (the process), ``/readyz`` and ``/api/v1/health`` (what it needs), ``/metrics``."""
    router = APIRouter(tags=["health"])

    async def ask() -> None:
        async with pool.connection(timeout=_TIMEOUT_SECONDS) as connection:
            await connection.execute("SELECT 1")

    async def check_postgresql() -> str:
        try:
            await within(_TIMEOUT_SECONDS, ask())
        except (psycopg.Error, PoolTimeout, TimeoutError) as error:
            return f"down: {type(error).__name__}"
        return "ok"

    async def fsync_policy() -> dict[str, str | None]:
        try:
            policy = await asyncio.wait_for(read_fsync_policy(client), _TIMEOUT_SECONDS)
        except (RedisError, OSError, TimeoutError):
            return {"appendonly": None, "appendfsync": None}
        return {"appendonly": policy.appendonly, "appendfsync": policy.appendfsync}

    async def answer() -> Response:
        answering, postgresql_state, policy = await asyncio.gather(
            ping_shards(client, config.shards, _TIMEOUT_SECONDS), check_postgresql(), fsync_policy()
        )
        # Without PostgreSQL the gateway goes on accepting for keys it knows, and without the node of one shard for the
        # clients of the others: degraded, yet ready.
        status = "ok" if (answering.text, postgresql_state) == ("ok", "ok") else "degraded"
        ready = answering.any
        document = {
            "status": status if ready else "unavailable",
            "service": "gateway",
            "instance": config.instance,
            "redis": answering.text,
            "postgresql": postgresql_state,
            "durability": {"level": config.durability_wanted, **policy},
        }
        return Response(orjson.dumps(document), 200 if ready else 503, media_type="application/json")

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @router.get("/readyz", responses=HEALTH_ANSWERS)
    async def readyz() -> Response:
        """200 when events can be accepted; 503 names what is down."""
        return await answer()

    @router.get("/api/v1/health", responses=HEALTH_ANSWERS)
    async def health() -> Response:
        """The same as ``/readyz``."""
        return await answer()

    @router.get("/metrics", response_class=PlainTextResponse)
    async def prometheus() -> Response:
        """Metrics of this process in Prometheus' text format."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return router
