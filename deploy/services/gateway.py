"""The ingest gateway's process."""

from typing import Final

import redis.asyncio
import structlog
from redis.exceptions import RedisError

from deploy.connections import async_redis, connection_pool, statement_timeout
from deploy.endpoints import Endpoints
from deploy.services.http_server import run, serve
from deploy.services.instance import begin
from ingest_gateway.app import build_app as build_gateway
from ingest_gateway.config import GatewayConfig
from ingest_gateway.durability import Level, level_in_force, read_fsync_policy
from shared.key_ring import KeyRing
from shared.redis_nodes import has_nodes, shard_node
from shared.settings import Settings
from shared.stranger_limit import StrangerPolicy

log = structlog.get_logger()

_GATEWAY_POOL: Final = 4
_GATEWAY_STATEMENT_MS: Final = 3000


def run_gateway(settings: Settings, endpoints: Endpoints) -> None:
    """Serve the gateway until SIGTERM or SIGINT, then drain."""
    instance = begin(settings, "gateway")
    run(_gateway(settings, endpoints, instance))


async def _gateway(settings: Settings, endpoints: Endpoints, instance: str) -> None:
    client = async_redis(endpoints.redis_url, settings.redis_timeout_ms / 1000)
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
        backlog_limit_bytes=settings.backlog_limit_bytes,
        durability=await _level_in_force(settings, client),
        durability_wanted=settings.durability,
        redis_timeout_ms=settings.redis_timeout_ms,
        backlog_limit_records=settings.backlog_limit_records,
        strangers=StrangerPolicy(settings.keyless_limit_per_address, settings.keyless_limit),
    )
    configure = statement_timeout(_GATEWAY_STATEMENT_MS)
    pool = connection_pool(endpoints.gateway_database_url, size=_GATEWAY_POOL, configure=configure)
    peppers = endpoints.peppers
    key_ring = KeyRing(
        pool, peppers, fresh_seconds=settings.key_cache_seconds, grace_seconds=settings.key_grace_seconds
    )
    await pool.open()
    try:
        app = build_gateway(config, pool, client, key_ring, peppers.now)
        await serve(app, settings, settings.gateway_host, settings.gateway_port, begin=app.begin)
    finally:
        await client.aclose()
        await pool.close(timeout=1)


async def _level_in_force(settings: Settings, client: "redis.asyncio.Redis") -> Level:
    """What publishing has to wait for. While Redis is away, the level as it is set: a 202 never promises too much.

    Raises SettingsError for a level that this Redis can never reach.
    """
    if settings.durability == "server":
        return "server"
    try:
        shards = range(settings.stream_shards if has_nodes(client) else 1)
        policies = [await read_fsync_policy(await shard_node(client, shard)) for shard in shards]
        levels = {level_in_force(settings.durability, policy) for policy in policies}
        return settings.durability if len(levels) > 1 else levels.pop()
    except (RedisError, OSError) as error:
        log.warning("durability.not_checked", error=type(error).__name__)
        return settings.durability
