"""The analytics API's process."""

from typing import Final

from analytics_api.app import build_app as build_analytics
from analytics_api.config import AnalyticsConfig
from analytics_api.reader import configure_reader
from deploy.connections import async_redis, connection_pool
from deploy.endpoints import Endpoints
from deploy.services.http_server import run, serve
from deploy.services.instance import begin
from shared.key_ring import KeyRing
from shared.settings import Settings

_ANALYTICS_POOL: Final = 8


def run_analytics(settings: Settings, endpoints: Endpoints) -> None:
    """Serve the analytics API until SIGTERM or SIGINT."""
    instance = begin(settings, "analytics")
    run(_analytics(settings, endpoints, instance))


async def _analytics(settings: Settings, endpoints: Endpoints, instance: str) -> None:
    config = AnalyticsConfig(
        instance=instance,
        shards=settings.stream_shards,
        rate_limit=settings.rate_limit_requests_per_minute,
        window_seconds=settings.rate_limit_window_seconds,
        statement_timeout_ms=settings.statement_timeout_ms,
    )
    client = async_redis(endpoints.redis_url, settings.redis_timeout_ms / 1000)
    configure = configure_reader(config.statement_timeout_ms)
    pool = connection_pool(endpoints.analytics_database_url, size=_ANALYTICS_POOL, configure=configure)
    key_ring = KeyRing(
        pool, endpoints.secret_key, fresh_seconds=settings.key_cache_seconds, grace_seconds=settings.key_grace_seconds
    )
    await pool.open()
    try:
        app = build_analytics(config, pool, client, key_ring)
        await serve(app, settings, settings.analytics_host, settings.analytics_port, websockets=True)
    finally:
        await client.aclose()
        await pool.close(timeout=1)
