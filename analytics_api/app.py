"""The analytics API as one ASGI application."""

from typing import Any, Final

import redis.asyncio
from fastapi_offline import FastAPIOffline
from psycopg_pool import AsyncConnectionPool

from analytics_api import dashboard
from analytics_api.any_path import register_any_path
from analytics_api.audit_routes import audit_routes
from analytics_api.config import AnalyticsConfig
from analytics_api.count_routes import count_routes
from analytics_api.event_lookup import EventLookup
from analytics_api.event_routes import event_routes
from analytics_api.event_trace import EventTraces
from analytics_api.health import Health, health_routes
from analytics_api.live.live import Live, LiveLimits
from analytics_api.metrics import AnalyticsMetrics
from analytics_api.processing_routes import processing_routes
from analytics_api.queries.export_routes import export_routes
from analytics_api.queries.export_slots import ExportSlots
from analytics_api.queries.query_routes import query_routes
from analytics_api.queries.sequence_routes import sequence_routes
from analytics_api.queue_routes import queue_routes
from analytics_api.reader import Reader
from analytics_api.store_facts import StoreFacts
from shared.access import AccessConfig, AccessLayer
from shared.answers import AsgiApp
from shared.home_page import HOME_PATH, home_routes
from shared.key_ring import KeyRing
from shared.measured import measured
from shared.openapi_access import documented
from shared.problem_handlers import install_problem_handlers
from shared.process_metrics import PoolMetrics

PUBLIC_PATHS: Final = frozenset((HOME_PATH, "/healthz", "/readyz", "/api/v1/health", "/metrics")) | dashboard.PATHS

DESCRIPTION: Final = """Answers questions about the events that were stored, and those that wait. Reads only.

Two calls do not end, and are described in deploy/docs/live.md: `GET /api/v1/live/events`, the events as they are
accepted (`text/event-stream`); and `WS /api/v1/ws/metrics`, metrics once a second: OpenAPI knows no WebSockets, so
it is not listed here."""


def build_app(
    config: AnalyticsConfig,
    pool: AsyncConnectionPool[Any],
    client: "redis.asyncio.Redis",
    key_ring: KeyRing,
    live: Live | None = None,
) -> AsgiApp:
    """The application; without ``live`` it makes live parts of its own on these.

    Pool and client are the caller's to open and close; ``pool`` is made with
    ``configure=analytics_api.reader.configure_reader(config.statement_timeout_ms)``, of the reader role.
    """
    metrics = AnalyticsMetrics()
    metrics.registry.register(PoolMetrics(pool))
    reader = Reader(pool, config.statement_timeout_ms)
    lookup = EventLookup(reader, EventTraces(client, config.shards))
    register_any_path()
    app = FastAPIOffline(
        title="Weir analytics API",
        version="1",
        description=DESCRIPTION,
        static_url="/docs/assets",
    )
    install_problem_handlers(app)
    app.include_router(export_routes(reader, lookup, ExportSlots(config.max_exports, config.max_exports_of_key)))
    app.include_router(event_routes(reader, lookup, config.max_page_bytes))
    app.include_router(count_routes(reader, config.max_rows))
    app.include_router(query_routes(reader, config.max_rows))
    app.include_router(sequence_routes(reader, config.max_picked_events))
    app.include_router(queue_routes(reader, client, config.shards))
    app.include_router(processing_routes(reader, config.max_rows))
    app.include_router(audit_routes(reader))
    live = live or Live(reader, client, client, config.shards, key_ring, LiveLimits())
    app.include_router(live.routes())
    health, facts = Health(pool, client, config.shards), StoreFacts(pool, client, config.shards, metrics)
    app.include_router(health_routes(health, facts, metrics, config.instance))
    app.include_router(dashboard.dashboard_routes(config.gateway_port, config.public_url))
    app.include_router(home_routes("/dashboard"))
    app.openapi = documented(app, PUBLIC_PATHS, {}, "invalid-query", ["query-timeout"])  # type: ignore[method-assign]  # FastAPI's documented way
    access = AccessConfig(
        "analytics",
        config.instance,
        config.shards,
        config.rate_limit,
        config.window_seconds,
        PUBLIC_PATHS,
        audit_backlog_limit=config.backlog_limit_records,
        strangers=config.strangers,
    )
    return measured(AccessLayer(app, access, key_ring, client), metrics.count_request)
