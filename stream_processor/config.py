"""What a processor needs to know, made once by the composition root from the settings."""

from dataclasses import dataclass

from shared.failed_events import NO_RETRIES, RetryPolicy
from stream_processor.failure_limit import DEFAULT_LIMIT, FailureLimit
from stream_processor.maintenance import DEFAULT_MAINTENANCE, MaintenanceConfig
from stream_processor.settlement import DEFAULT_NAMES, ParkedNames


@dataclass(frozen=True)
class ProcessorConfig:
    """Bounds and places of one processor process. Units as named."""

    consumer: str
    """Unique for every start of a process: a consumer group gives each name a list of pending entries of its own."""
    shards: int
    batch_events: int
    batch_bytes: int
    batch_age_ms: int
    """How long the first entry of a batch waits for company."""
    claim_idle_seconds: float
    """Entries pending for longer with another consumer are taken over."""
    drain_seconds: float
    max_attempts: int = 5
    """Deliveries of an entry after which it is taken alone: it may be what kills processors."""
    failure_limit: FailureLimit = DEFAULT_LIMIT
    """Failures at which it halts."""
    parked_names: ParkedNames = DEFAULT_NAMES
    """What is remembered of failed events for the gateways."""
    retry: RetryPolicy = NO_RETRIES
    """What the failed events of classes worth retrying are told."""
    maintenance: MaintenanceConfig = DEFAULT_MAINTENANCE
    """What is kept, and when the daily work is done."""
