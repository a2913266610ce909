"""Is the service alive, and can it do its work? Served without a key."""

import asyncio
from typing import Any, Final

import psycopg
import redis.asyncio
from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from psycopg_pool import AsyncConnectionPool
from starlette.responses import PlainTextResponse

from analytics_api.json_answer import json_answer
from analytics_api.metrics import AnalyticsMetrics
from analytics_api.replica import Replica, read_replica
from analytics_api.store_facts import StoreFacts
from shared.deadline import within
from shared.openapi_access import HEALTH_ANSWERS
from shared.redis_nodes import ShardsAnswering, ping_shards
from shared.sql_files import load_sql

_TIMEOUT_SECONDS: Final = 1.5


class Health:
    """Looks at the servers, each look under a deadline; never raises."""

    def __init__(self, pool: AsyncConnectionPool[Any], client: "redis.asyncio.Redis", shards: int) -> None:
        self._pool = pool
        self._client = client
        self._shards = shards

    async def redis(self) -> ShardsAnswering:
        """Which shards answer."""
        return await ping_shards(self._client, self._shards, _TIMEOUT_SECONDS)

    async def postgresql(self) -> tuple[str, Replica | None]:
        """``ok``, or what is wrong (a schema missing or not readable is); and the replica, if it is one."""
        try:
            return "ok", await within(_TIMEOUT_SECONDS, self._check_schema())
        except psycopg.ProgrammingError as error:
            return f"schema not readable: {type(error).__name__}; see `weir db status`", None
        except (psycopg.Error, TimeoutError) as error:
            return f"down: {type(error).__name__}", None

    async def _check_schema(self) -> Replica | None:
        async with self._pool.connection(timeout=_TIMEOUT_SECONDS) as connection:
            await connection.execute(load_sql("analytics_api", "check_schema"))
            return await read_replica(connection)


def health_routes(health: Health, facts: StoreFacts, metrics: AnalyticsMetrics, instance: str) -> APIRouter:
    """``/healthz`` (the process), ``/readyz`` and ``/api/v1/health`` (what it needs), ``/metrics``."""
    router = APIRouter(tags=["health"])

    async def answer() -> Response:
        answering, (postgresql_state, replica) = await asyncio.gather(health.redis(), health.postgresql())
        # Without Redis no audit record can be written, and without that no answer leaves: of a cluster without one of
        # its nodes, none to the clients of that shard.
        ready = answering.any and postgresql_state == "ok"
        whole = "ok" if answering.text == "ok" else "degraded"
        document = {
            "status": whole if ready else "unavailable",
            "service": "analytics",
            "instance": instance,
            "redis": answering.text,
            "postgresql": postgresql_state,
            "replica": None if replica is None else replica.described(),
        }
        return json_answer(document, 200 if ready else 503)

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @router.get("/readyz", responses=HEALTH_ANSWERS)
    async def readyz() -> Response:
        """200 when questions can be answered; 503 names what is down.

        `replica` tells of the streaming replica that is read, if it is one: whether it hears its primary, and how old
        what it shows may be. A replica that lags answers all the same: of an earlier moment.
        """
        return await answer()

    @router.get("/api/v1/health", responses=HEALTH_ANSWERS)
    async def api_health() -> Response:
        """The same as ``/readyz``."""
        return await answer()

    @router.get("/metrics", response_class=PlainTextResponse)
    async def prometheus() -> Response:
        """Metrics of this process, of the streams and of the stores, in Prometheus' text format."""
        await facts.show()
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return router
