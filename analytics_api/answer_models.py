"""What the calls answer, as OpenAPI tells it. Answers are not made from these: PostgreSQL's text is passed through."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class EventAnswer(BaseModel):
    """One event. Which fields beside these it has depends on its state."""

    event_id: str
    client_id: str
    event_type: str | None
    payload: dict[str, Any] | None
    occurred_at: AwareDatetime | None
    received_at: AwareDatetime | None
    stored_at: AwareDatetime | None
    state: Literal["accepted", "pending", "stored", "failed"]


class EventPage(_Answer):
    """Stored events, newest first."""

    events: list[EventAnswer]
    next_cursor: str | None


class CountRow(_Answer):
    """A group's count, in one bucket if an interval was asked for. The rest beside the top has no names."""

    event_type: str | None = ""
    client_id: str | None = ""
    rest_of: int = 0
    bucket: AwareDatetime | None = None
    count: int
    count_unique: int = 0
    previous: dict[str, Any] = {}
    change_ratio: dict[str, float | None] = {}


class PreviousRange(_Answer):
    """The range of the same length before."""

    from_: Annotated[AwareDatetime, Field(alias="from")]
    to: AwareDatetime
    total: int


class EventCounts(_Answer):
    """Counts of events."""

    from_: Annotated[AwareDatetime, Field(alias="from")]
    to: AwareDatetime
    interval: Literal["minute", "hour", "day", "week", "month"] | None
    tz: str
    source: Literal["rollups", "rollups+events", "events"]
    total: int
    previous: PreviousRange | None = None
    rows: list[CountRow]
    group_by: list[str] = []
    measures: dict[str, str | None] = {}
    ignored: dict[str, int] = {}


class QueryAnswer(_Answer):
    """Measures of events. A row has its groups, ``rest_of`` if there is a ``top``, ``bucket``, and measures; and
    ``previous`` and ``change_ratio``, by measure, when it was asked to compare.
    """

    from_: Annotated[AwareDatetime, Field(alias="from")]
    to: AwareDatetime
    total: int
    interval: Literal["minute", "hour", "day", "week", "month"] | None
    tz: str
    group_by: list[str]
    measures: dict[str, str | None]
    source: Literal["rollups", "rollups+events", "events"]
    ignored: dict[str, int]
    previous: PreviousRange | None = None
    rows: list[dict[str, Any]]


class FunnelStep(_Answer):
    """One step: who came to it, who went on, and how fast. The last one has nobody to go on."""

    step: int
    event_type: str | None
    entered: int
    went_on: int | None
    dropped: int | None
    conversion: float | None
    median_seconds_to_next: float | None


class FunnelAnswer(_Answer):
    """A funnel; ``conversion`` is the share of those who entered."""

    from_: Annotated[AwareDatetime, Field(alias="from")]
    to: AwareDatetime
    by: str
    window_seconds: int
    source: Literal["events"]
    ignored: int
    entered: int
    completed: int
    conversion: float | None
    steps: list[FunnelStep]


class CohortAnswer(_Answer):
    """Those who came first in one period; ``returned`` by period since."""

    cohort: AwareDatetime
    size: int
    returned: list[int]


class RetentionAnswer(_Answer):
    """Cohorts of a range."""

    from_: Annotated[AwareDatetime, Field(alias="from")]
    to: AwareDatetime
    by: str
    interval: Literal["day", "week"]
    tz: str
    source: Literal["events"]
    ignored: int
    cohorts: list[CohortAnswer]


class Latency(_Answer):
    """Milliseconds from receipt to stored, within 2 %; null where nothing was stored."""

    p50: float | None
    p95: float | None
    p99: float | None


class _Stored(_Answer):
    count: int
    throughput_per_second: float
    latency_ms: Latency


class _Outcomes(_Stored):
    stored: int
    duplicates: int
    conflicting: int
    failed: int
    retried: int


class TypeBucket(_Stored):
    """One type's share of a bucket."""

    bucket: AwareDatetime


class TypeMetrics(_Stored):
    """One type's share."""

    event_type: str
    series: list[TypeBucket] = []


class ProcessingBucket(_Outcomes):
    """One bucket of the range."""

    bucket: AwareDatetime


class ProcessingMetrics(_Outcomes):
    """What became of the events received in the range."""

    from_: Annotated[AwareDatetime, Field(alias="from")]
    to: AwareDatetime
    source: Literal["rollups"]
    interval: Literal["minute", "hour", "day", "week", "month"] | None = None
    tz: str = "UTC"
    series: list[ProcessingBucket] = []
    rows: list[TypeMetrics] = []


class StreamAnswer(_Answer):
    """A stream of a shard, in events."""

    name: str
    shard: int
    length: int
    lag: int
    pending: int
    oldest_age_seconds: float


class LagSampleAnswer(_Answer):
    """What waited at one moment."""

    at: AwareDatetime
    lag: int
    oldest_age_seconds: float


class LagAnswer(_Answer):
    """What waited of late."""

    interval_seconds: float
    since: AwareDatetime | None
    samples: list[LagSampleAnswer]


class ConsumerAnswer(_Answer):
    """A processor's part in a stream; ``pending`` in entries."""

    name: str
    stream: str
    shard: int
    pending: int
    idle_seconds: float


class ReplicaAnswer(_Answer):
    """The streaming replica that is read: what it shows is this old."""

    streaming: bool
    lag_seconds: float | None


class QueueStatus(_Answer):
    """What waits, and who works on it."""

    streams: list[StreamAnswer]
    consumers: list[ConsumerAnswer]
    failed: int | None
    replica: ReplicaAnswer | None


class AuditRecordAnswer(_Answer):
    """A call that was answered."""

    at: AwareDatetime
    service: Literal["gateway", "analytics"]
    instance: str
    client_id: str | None
    key_id: str | None
    method: str
    endpoint: str
    path: str
    query: str
    status: int
    error: str | None
    duration_ms: float
    bytes_in: int
    bytes_out: int | None
    address: str
    user_agent: str
    request_id: str
    calls: int


class AuditPage(_Answer):
    """Calls, newest first."""

    logs: list[AuditRecordAnswer]
    next_cursor: str | None


class FailedEventAnswer(_Answer):
    """An event that was given up, without its payload."""

    id: int
    event_id: str | None
    client_id: str | None
    event_type: str | None
    occurred_at: AwareDatetime | None
    received_at: AwareDatetime | None
    reason: str
    sqlstate: str | None
    detail: str
    attempts: int
    first_failed_at: AwareDatetime
    last_failed_at: AwareDatetime
    next_step: str
    replays: int
    same_kind_failures: int
    replayed_at: AwareDatetime | None
    next_retry_at: AwareDatetime | None
    payload_bytes: int


class FailedEventPage(_Answer):
    """Failed events, the latest failure first."""

    failed_events: list[FailedEventAnswer]
    next_cursor: str | None
