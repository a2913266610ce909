"""The ingest gateway's process."""

from typing import Final

from deploy.connections import async_redis, connection_pool, statement_timeout
from deploy.endpoints import Endpoints
from deploy.services.http_server import run, serve
from deploy.services.instance import begin
from ingest_gateway.app import build_app as build_gateway
from ingest_gateway.config import GatewayConfig
from shared.key_ring import KeyRing
from shared.settings import Settings

_GATEWAY_POOL: Final = 4
_GATEWAY_STATEMENT_MS: Final = 3000


def run_gateway(settings: Settings, endpoints: Endpoints) -> None:
    """Serve the gateway until SIGTERM or SIGINT, then drain."""
    instance = begin(settings, "gateway")
    run(_gateway(settings, endpoints, instance))


async def _gateway(settings: Settings, endpoints: Endpoints, instance: str) -> None:
    config = GatewayConfig(
        instance=instance,
        shards=settings.stream_shards,
        rate_limit=settings.rate_limit_requests_per_minute,
        window_seconds=settings.rate_limit_window_seconds,
        retention_days=settings.event_retention_days,
        max_body_bytes=settings.max_body_bytes,
        max_payload_bytes=settings.max_payload_bytes,
        max_batch_events=settings.max_batch_events,
        body_timeout_seconds=settings.body_timeout_seconds,
        max_concurrency=settings.max_concurrency,
        backlog_limit_events=settings.backlog_limit_events,
        duplicate_max_ids=settings.duplicate_max_ids,
        duplicate_window_seconds=settings.duplicate_window_seconds,
    )
    client = async_redis(endpoints.redis_url, settings.redis_timeout_ms / 1000)
    configure = statement_timeout(_GATEWAY_STATEMENT_MS)
    pool = connection_pool(endpoints.gateway_database_url, size=_GATEWAY_POOL, configure=configure)
    pepper = endpoints.secret_key
    key_ring = KeyRing(pool, pepper, fresh_seconds=settings.key_cache_seconds, grace_seconds=settings.key_grace_seconds)
    await pool.open()
    try:
        app = build_gateway(config, pool, client, key_ring, pepper)
        await serve(app, settings, settings.gateway_host, settings.gateway_port)
    finally:
        await client.aclose()
        await pool.close(timeout=1)
