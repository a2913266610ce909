"""The composition root: each service, made from settings and endpoints, and run until it is told to stop."""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
from collections.abc import Coroutine, Iterator
from typing import Any, Final

import uvicorn
import uvloop

from analytics_api.app import build_app as build_analytics
from analytics_api.config import AnalyticsConfig
from analytics_api.reader import configure_reader
from deploy.connections import async_redis, connection_pool, statement_timeout, store_connection, sync_redis
from deploy.endpoints import Endpoints
from ingest_gateway.app import build_app as build_gateway
from ingest_gateway.config import GatewayConfig
from shared.answers import AsgiApp
from shared.key_ring import KeyRing
from shared.logs import configure_logs
from shared.settings import Settings
from stream_processor.config import ProcessorConfig
from stream_processor.enrich import load_enrichers
from stream_processor.processor import Processor
from stream_processor.stream_loop import BLOCK_MS

_GATEWAY_POOL: Final = 4
_ANALYTICS_POOL: Final = 8
_GATEWAY_STATEMENT_MS: Final = 3000


def instance_name(settings: Settings) -> str:
    """WEIR_INSTANCE_NAME, or the host's name and a random part: unique for every start."""
    return settings.instance_name or f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(2)}"


def run_gateway(settings: Settings, endpoints: Endpoints) -> None:
    """Serve the gateway until SIGTERM or SIGINT, then drain."""
    instance = instance_name(settings)
    _configure_logs(settings, "gateway", instance)
    _run(_gateway(settings, endpoints, instance))


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
        await _serve(app, settings, settings.gateway_host, settings.gateway_port)
    finally:
        await client.aclose()
        await pool.close(timeout=1)


def run_analytics(settings: Settings, endpoints: Endpoints) -> None:
    """Serve the analytics API until SIGTERM or SIGINT."""
    instance = instance_name(settings)
    _configure_logs(settings, "analytics", instance)
    _run(_analytics(settings, endpoints, instance))


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
        await _serve(app, settings, settings.analytics_host, settings.analytics_port)
    finally:
        await client.aclose()
        await pool.close(timeout=1)


def run_processor(settings: Settings, endpoints: Endpoints) -> None:
    """Process until SIGTERM or SIGINT, then drain. Raises HaltError when a person has to act."""
    instance = instance_name(settings)
    _configure_logs(settings, "processor", instance)
    config = ProcessorConfig(
        consumer=instance,
        shards=settings.stream_shards,
        batch_events=settings.event_batch_size,
        batch_bytes=settings.batch_bytes,
        batch_age_ms=settings.batch_age_ms,
        claim_idle_seconds=settings.claim_idle_seconds,
        drain_seconds=settings.drain_seconds,
    )
    redis_url, database_url = endpoints.redis_url, endpoints.processor_database_url
    timeout_seconds = BLOCK_MS / 1000 + 2 + settings.redis_timeout_ms / 1000
    processor = Processor(
        config,
        lambda: sync_redis(redis_url, timeout_seconds),
        lambda: store_connection(database_url),
        load_enrichers(settings.enrichers),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: processor.stop())
    processor.run()


class _Server(uvicorn.Server):
    """uvicorn's server, but for its habit to raise the signal again when it is done: we have yet to close what we opened."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


async def _serve(app: AsgiApp, settings: Settings, host: str, port: int) -> None:
    trusted = settings.trusted_proxies
    server = _Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            loop="uvloop",
            http="httptools",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(trusted),
            forwarded_allow_ips=list(trusted),
            timeout_graceful_shutdown=int(settings.drain_seconds),
        )
    )
    await server.serve()


def _run(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def _configure_logs(settings: Settings, service: str, instance: str) -> None:
    configure_logs(
        level="debug" if settings.debug else settings.log_level,
        form=settings.log_format,
        service=service,
        instance=instance,
    )
