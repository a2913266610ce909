"""What the analytics API needs to know, made once by the composition root from the settings."""

from dataclasses import dataclass

from shared.access import DEFAULT_STRANGERS
from shared.stranger_limit import StrangerPolicy


@dataclass(frozen=True)
class AnalyticsConfig:
    """Limits and places of one process."""

    instance: str
    shards: int
    rate_limit: int
    """Requests a window for keys that name none of their own; 0 is none."""
    window_seconds: int
    statement_timeout_ms: int
    backlog_limit_records: int = 2_000_000
    """Audit records that may wait in a stream."""
    strangers: StrangerPolicy = DEFAULT_STRANGERS
    max_page_bytes: int = 8 * 1024 * 1024
    """A page of events ends early, with a cursor, once its payloads come to this."""
    max_rows: int = 100_000
    """Most rows of one answer of counts."""
    max_picked_events: int = 2_000_000
    """Most events that a funnel or retention may look at one by one."""
    max_exports: int = 3
    """Exports at a time in this process; each holds a connection of the pool."""
    max_exports_of_key: int = 2
    gateway_port: int = 8000
    """Where the dashboard tells people to post a first event; on the host that they see the page on."""
    public_url: str = ""
    """If there is one, the dashboard names this address instead."""
