"""The analytics API's process."""

from typing import Final

from analytics_api.app import build_app as build_analytics
from analytics_api.config import AnalyticsConfig
from analytics_api.live.event_tail import BLOCK_MS
from analytics_api.live.live import Live, LiveLimits
from analytics_api.reader import Reader, configure_reader
from deploy.connections import async_redis, connection_pool
from deploy.endpoints import Endpoints
from deploy.services.http_server import run, serve
from deploy.services.instance import begin
from shared.key_ring import KeyRing
from shared.settings import Settings
from shared.stranger_limit import StrangerPolicy

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
        backlog_limit_records=settings.backlog_limit_records,
        strangers=StrangerPolicy(settings.keyless_limit_per_address, settings.keyless_limit),
        gateway_port=settings.gateway_port,
        public_url=settings.public_url or "",
    )
    client = async_redis(endpoints.redis_url, settings.redis_timeout_ms / 1000)
    blocking = async_redis(endpoints.redis_url, settings.redis_timeout_ms / 1000 + BLOCK_MS / 1000)
    configure = configure_reader(config.statement_timeout_ms)
    pool = connection_pool(endpoints.analytics_database_url, size=_ANALYTICS_POOL, configure=configure)
    key_ring = KeyRing(
        pool, endpoints.peppers, fresh_seconds=settings.key_cache_seconds, grace_seconds=settings.key_grace_seconds
    )
    await pool.open()
    try:
        live = Live(
            Reader(pool, config.statement_timeout_ms), client, blocking, config.shards, key_ring,
            LiveLimits(settings.live_viewers, settings.live_viewers_per_key),
        )  # fmt: skip
        live.start()
        app = build_analytics(config, pool, client, key_ring, live)
        await serve(app, settings, settings.analytics_host, settings.analytics_port, websockets=True, stop=live.stop)
        await live.close()
    finally:
        await client.aclose()
        await blocking.aclose()
        await pool.close(timeout=1)
