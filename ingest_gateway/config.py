"""What the gateway needs to know, made once by the composition root from the settings."""

from dataclasses import dataclass

from ingest_gateway.durability import Level
from shared.access import DEFAULT_STRANGERS
from shared.stranger_limit import StrangerPolicy


@dataclass(frozen=True)
class GatewayConfig:
    """Limits and places of one gateway process. Bytes and seconds as named."""

    instance: str
    shards: int
    rate_limit: int
    """Requests a window for keys that name none of their own; 0 is none."""
    window_seconds: int
    retention_days: int
    max_body_bytes: int
    max_payload_bytes: int
    max_batch_events: int
    body_timeout_seconds: float
    max_concurrency: int
    backlog_limit_events: int
    duplicate_max_ids: int
    duplicate_window_seconds: int
    backlog_limit_bytes: int = 0
    """Of Redis's memory; 0 is nine tenths of its maxmemory, if it has one."""
    durability: Level = "server"
    """What the publisher waits for; ``server`` too where the level that is set is what the server does by itself."""
    durability_wanted: Level = "server"
    redis_timeout_ms: int = 2000
    backlog_limit_records: int = 2_000_000
    """Audit records that may wait in a stream."""
    strangers: StrangerPolicy = DEFAULT_STRANGERS
