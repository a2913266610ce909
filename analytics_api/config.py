"""What the analytics API needs to know, made once by the composition root from the settings."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AnalyticsConfig:
    """Limits and places of one process."""

    instance: str
    shards: int
    rate_limit: int
    """Requests a window for keys that name none of their own; 0 is none."""
    window_seconds: int
    statement_timeout_ms: int
    max_page_bytes: int = 8 * 1024 * 1024
    """A page of events ends early, with a cursor, once its payloads come to this."""
    max_rows: int = 100_000
    """Most rows of one answer of counts."""
    gateway_port: int = 8000
    """Where the dashboard tells people to post a first event; on the host that they see the page on."""
