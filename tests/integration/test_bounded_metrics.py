"""However many paths and methods strangers try, a service's metrics stay as many as they were."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

import pytest
import redis.asyncio
from prometheus_client.parser import text_string_to_metric_families
from psycopg_pool import AsyncConnectionPool

from analytics_api.app import build_app as build_analytics
from analytics_api.config import AnalyticsConfig
from deploy.connections import async_redis
from ingest_gateway.app import build_app as build_gateway
from shared.answers import AsgiApp
from shared.api_keys import Peppers
from shared.key_ring import KeyRing
from shared.stranger_limit import StrangerPolicy
from tests.publishing import config

STRANGERS = 5_000  # of each service: 10,000 in all
AT_ONCE = 100
UNLIMITED = StrangerPolicy(0, 0)  # beyond the limit all are answered alike, before a route is looked for
TEMPLATES = ("/{}", "/api/v1/events/{}", "/api/v1/keys/{}", "/api/v1/events/ingest/{}", "/docs/{}", "/metrics/{}")

Build = Callable[[AsyncConnectionPool[Any], "redis.asyncio.Redis", KeyRing], AsgiApp]


def gateway(pool: AsyncConnectionPool[Any], client: "redis.asyncio.Redis", key_ring: KeyRing) -> AsgiApp:
    return build_gateway(config(strangers=UNLIMITED), pool, client, key_ring, b"pepper")


def analytics(pool: AsyncConnectionPool[Any], client: "redis.asyncio.Redis", key_ring: KeyRing) -> AsgiApp:
    facts = AnalyticsConfig(
        instance="a", shards=1, rate_limit=0, window_seconds=60, statement_timeout_ms=1000, strangers=UNLIMITED
    )  # fmt: skip
    return build_analytics(facts, pool, client, key_ring)


async def call(app: AsgiApp, method: str, path: str) -> tuple[int, bytes]:
    """One request without a key, as a server hands it to the application."""
    status, body = 0, b""
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": [],
        "client": ("192.0.2.1", 1), "server": ("192.0.2.2", 80),
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status, body
        status = message.get("status", status)
        body += message.get("body", b"")

    await app(scope, receive, send)
    return status, body


async def series(app: AsgiApp) -> set[tuple[str, str]]:
    _, text = await call(app, "GET", "/metrics")
    families = text_string_to_metric_families(text.decode())
    return {(one.name, str(sorted(one.labels.items()))) for family in families for one in family.samples}


async def stroll(app: AsgiApp, times: int) -> set[int]:
    """Random paths of every shape, by known and made-up methods; the statuses they led to."""

    async def one(number: int) -> int:
        method = ("GET", "POST", "DELETE", secrets.token_hex(3).upper())[number % 4]
        status, _ = await call(app, method, TEMPLATES[number % len(TEMPLATES)].format(secrets.token_hex(6)))
        return status

    found: set[int] = set()
    for start in range(0, times, AT_ONCE):
        found |= set(await asyncio.gather(*(one(start + place) for place in range(AT_ONCE))))
    return found


@pytest.mark.parametrize("build", [gateway, analytics])
def test_thousands_of_random_paths_make_no_new_series(redis_url: str, build: Build) -> None:
    async def run() -> None:
        pool: AsyncConnectionPool[Any] = AsyncConnectionPool("", min_size=1, max_size=1, open=False)
        async with async_redis(redis_url, 30) as client:
            app = build(pool, client, KeyRing(pool, Peppers(b"pepper"), fresh_seconds=2, grace_seconds=60))
            statuses = await stroll(app, 10 * AT_ONCE)
            await series(app)  # asking is a request too
            before = await series(app)
            assert await stroll(app, STRANGERS) == statuses
            assert {status // 100 for status in statuses} == {4}
            assert await series(app) == before
            assert len(before) < 1000

    asyncio.run(run())
