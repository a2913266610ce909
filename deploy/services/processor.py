"""A stream processor's process."""

import os
import secrets
import signal

import structlog
from prometheus_client import start_http_server

from deploy.connections import async_redis, async_store_connection, store_connection, sync_redis
from deploy.endpoints import Endpoints
from deploy.services.instance import begin
from shared.failed_events import RetryPolicy
from shared.settings import Settings
from stream_processor import crash_points
from stream_processor.config import ProcessorConfig
from stream_processor.enrich import load_enrichers
from stream_processor.failure_limit import FailureLimit
from stream_processor.maintenance import MaintenanceConfig
from stream_processor.processor import Processor
from stream_processor.retention import RetentionPolicy
from stream_processor.retry_schedule import RetrySchedule
from stream_processor.settlement import ParkedNames
from stream_processor.stream_loop import BLOCK_MS

log = structlog.get_logger()


def run_processor(settings: Settings, endpoints: Endpoints) -> None:
    """Process until SIGTERM or SIGINT, then drain."""
    instance = begin(settings, "processor")
    os.nice(settings.processor_niceness)
    if settings.environment == "test":
        crash_points.arm(crash_points.CrashPoint(settings.crash_point))
    config = ProcessorConfig(
        consumer=f"{instance}-{secrets.token_hex(3)}" if settings.instance_name else instance,
        shards=settings.stream_shards,
        batch_events=settings.event_batch_size,
        batch_bytes=settings.batch_bytes,
        batch_age_ms=settings.batch_age_ms,
        claim_idle_seconds=settings.claim_idle_seconds,
        drain_seconds=settings.drain_seconds,
        max_attempts=settings.max_attempts,
        failure_limit=FailureLimit(
            settings.failure_limit_share, settings.failure_limit_count, settings.failure_limit_window_seconds
        ),
        parked_names=ParkedNames.for_filter(settings.duplicate_window_seconds, settings.duplicate_max_ids),
        retry=retry_policy(settings),
        maintenance=maintenance_config(settings),
    )
    redis_url, database_url = endpoints.redis_url, endpoints.processor_database_url
    timeout_seconds = BLOCK_MS / 1000 + 2 + settings.redis_timeout_ms / 1000
    processor = Processor(
        config,
        lambda: sync_redis(redis_url, timeout_seconds),
        lambda: store_connection(database_url),
        load_enrichers(settings.enrichers),
        RetrySchedule(
            config.retry,
            config.shards,
            lambda: async_store_connection(database_url),
            lambda: async_redis(redis_url, settings.redis_timeout_ms / 1000),
        ),
    )
    if settings.processor_metrics_port:
        _serve_metrics(settings, processor)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: processor.stop())
    processor.run()


def _serve_metrics(settings: Settings, processor: Processor) -> None:
    """Serve them in a thread. A port that is taken costs the metrics, not the events; it is told loudly."""
    host, port = settings.processor_metrics_host, settings.processor_metrics_port
    try:
        start_http_server(port, host, processor.metrics.registry)
    except OSError as error:
        log.error(  # noqa: TRY400  the error says it all
            "metrics.not_served", host=host, port=port, error=error.strerror, next="set WEIR_PROCESSOR_METRICS_PORT"
        )


def retry_policy(settings: Settings) -> RetryPolicy:
    """The schedule's slice of the settings."""
    return RetryPolicy(
        interval_seconds=settings.retry_interval_seconds,
        base_seconds=settings.retry_base_seconds,
        factor=settings.retry_factor,
        cap_seconds=settings.retry_cap_seconds,
        most_tries=settings.retry_max,
    )


def maintenance_config(settings: Settings) -> MaintenanceConfig:
    """The daily work's slice of the settings."""
    return MaintenanceConfig(
        retention_policy(settings), settings.partitions_ahead_days, settings.partitions_at, settings.retention_at
    )


def retention_policy(settings: Settings) -> RetentionPolicy:
    """How long everything is kept."""
    return RetentionPolicy(
        event_days=settings.event_retention_days,
        audit_days=settings.audit_retention_days,
        failed_event_days=settings.failed_event_retention_days,
        rollup_days=settings.rollup_retention_days,
        fence_days=settings.fence_retention_days,
    )
