"""Every metric of every process, in one place: type, unit, labels, meaning, and the remedy when it looks bad.

``deploy/docs/metrics.md`` is made from this list, alerts and dashboards may name nothing else, and tests hold all of
it. Longer than most modules because the whole list stands in one place. Labels are bounded: names of streams and
servers, route templates, known words; never an id, a key, a client or an event type.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from shared.metric import MetricDefinition, MetricKind

_Define = Callable[..., MetricDefinition]


def _of(exposed_by: str) -> tuple[_Define, _Define, _Define]:
    """The three makers for what some processes serve."""

    def define(kind: MetricKind, name: str, unit: str, labels: str, meaning: str, remedy: str,
               buckets: tuple[float, ...] = ()) -> MetricDefinition:  # fmt: skip
        return MetricDefinition(exposed_by, kind, name, unit, tuple(labels.split()), meaning, remedy, buckets)

    counter, gauge, histogram = (partial(define, kind) for kind in MetricKind)
    return counter, gauge, histogram


_REQUEST_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)
_QUERY_SECONDS: Final = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_CALL_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_BATCH_SECONDS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_STORED_SECONDS: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0,
)  # fmt: skip
_BATCH_EVENTS: Final = (1.0, 10.0, 50.0, 100.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0, 20_000.0)

# fmt: off
counter, gauge, histogram = _of("every process")
BUILD_INFO: Final = gauge("weir_build_info", "1", "service version python",
    "1, with the release that runs as labels.", "More than one version for long: a rolling upgrade has stopped.")
PROCESS_CPU: Final = counter("process_cpu_seconds_total", "seconds", "",
    "CPU time of the process.", "Near 1 a second: this process has no more to give; add another.")
PROCESS_RESIDENT: Final = gauge("process_resident_memory_bytes", "bytes", "",
    "Memory of the process.", "Near its limit: see the size of batches and bodies, or raise the limit.")
PROCESS_VIRTUAL: Final = gauge("process_virtual_memory_bytes", "bytes", "",
    "Address space of the process.", "Says little by itself.")
PROCESS_START: Final = gauge("process_start_time_seconds", "seconds since 1970", "",
    "When the process started.", "Often anew: it crashes; see its log.")
PROCESS_OPEN_FDS: Final = gauge("process_open_fds", "files", "",
    "Files and connections that are open.", "Near the most: raise the limit of open files.")
PROCESS_MAX_FDS: Final = gauge("process_max_fds", "files", "",
    "Files and connections that may be open.", "Raise it with the system's limit of open files.")

counter, gauge, histogram = _of("gateway, analytics")
POOL_CONNECTIONS: Final = gauge("weir_pool_connections", "connections", "",
    "PostgreSQL connections of the pool, lent out or idle.", "0: PostgreSQL is away.")
POOL_IDLE: Final = gauge("weir_pool_connections_idle", "connections", "",
    "Those of them that wait to be lent out.", "Always 0: see the requests that wait.")
POOL_MAX: Final = gauge("weir_pool_connections_max", "connections", "",
    "Connections the pool may open.", "Fixed.")
POOL_WAITING: Final = gauge("weir_pool_requests_waiting", "requests", "",
    "Those who wait for a connection at this moment.", "For long: PostgreSQL is slow, or one more process is needed.")
POOL_REQUESTS: Final = counter("weir_pool_requests_total", "requests", "",
    "Connections that were asked for.", "")
POOL_WAIT: Final = counter("weir_pool_wait_seconds_total", "seconds", "",
    "Time spent waiting for a connection.", "Rising: as for the requests that wait.")
POOL_ERRORS: Final = counter("weir_pool_request_errors_total", "requests", "",
    "Connections that were asked for and not had in time.", "Any: PostgreSQL is away or overloaded.")
POOL_CONNECTION_ERRORS: Final = counter("weir_pool_connection_errors_total", "attempts", "",
    "Attempts to connect that failed.", "Any: see PostgreSQL, its address and its password.")

counter, gauge, histogram = _of("gateway")
GATEWAY_ACCEPTED: Final = counter("weir_gateway_events_accepted_total", "events", "",
    "Events put into Redis, by this process.", "None while requests come: see the refusals by problem.")
GATEWAY_DUPLICATE: Final = counter("weir_gateway_events_duplicate_total", "events", "",
    "Events the early filter knew.", "Many: a producer repeats itself; see its time-outs.")
GATEWAY_REJECTED: Final = counter("weir_gateway_events_rejected_total", "events", "",
    "Events found invalid. A batch they come in is refused with them, unless it asked for lenient handling.",
    "Many: a producer sends what is not an event; its answers say where.")
GATEWAY_REQUESTS: Final = counter("weir_gateway_requests_total", "requests", "route status",
    "Requests answered, by route and status; route `unmatched` is any that led nowhere, or was refused before.",
    "Many 503: see Redis and the backlog.")
GATEWAY_REQUEST_SECONDS: Final = histogram("weir_gateway_request_duration_seconds", "seconds", "route",
    "Time from a request's head to its answer, by route; with `Prefer: wait`, the wait too.",
    "High: Redis is slow or the CPU is full.", _REQUEST_SECONDS)
GATEWAY_REFUSED: Final = counter("weir_gateway_ingest_refused_total", "requests", "problem",
    "Ingest requests refused, by problem type.", "`unavailable`: see Redis; `backlog-full`: see the processors.")
GATEWAY_ACTIVE: Final = gauge("weir_gateway_requests_active", "requests", "",
    "Ingest requests being served at this moment.", "Near the limit: add a gateway.")
GATEWAY_CONCURRENCY_LIMIT: Final = gauge("weir_gateway_concurrency_limit_requests", "requests", "",
    "Ingest requests this process has in hand at once at most.", "Set by WEIR_MAX_CONCURRENCY.")
GATEWAY_LIMITER: Final = counter("weir_gateway_limiter_decisions_total", "requests", "decision",
    "Ingest requests: `admitted`, `limited` by the key's rate, `busy` as it had its share of slots, or `stranger`: "
    "too many without a valid key.",
    "Many limited: see who, in the audit log; raise the key's limit, or let it be.")
GATEWAY_PUBLISH_CALLS: Final = counter("weir_gateway_publish_calls_total", "calls", "outcome",
    "Calls of the atomic function; concurrent requests share one. Outcome is `done` or `failed`.",
    "Failed: Redis is away, full or slow.")
GATEWAY_PUBLISH_SECONDS: Final = histogram("weir_gateway_publish_duration_seconds", "seconds", "",
    "Time of such a call that was done.", "High: Redis or the way to it is slow, or this process has no CPU left.",
    _CALL_SECONDS)
GATEWAY_PUBLISH_EVENTS: Final = histogram("weir_gateway_publish_batch_events", "events", "",
    "Events that such a call brought.", "Near 2000 all the time: the gateway is at its limit; add another.",
    (0.0, *_BATCH_EVENTS[:-2]))
GATEWAY_PUBLISH_WAITING: Final = gauge("weir_gateway_publish_waiting_requests", "requests", "",
    "Requests that wait for the next call.", "Rising: Redis is slow.")
GATEWAY_PUBLISH_WAITING_BYTES: Final = gauge("weir_gateway_publish_waiting_bytes", "bytes", "",
    "What they hold.", "Beyond 64 MiB new requests get 503.")
GATEWAY_REDIS_UP: Final = gauge("weir_gateway_redis_up", "1 or 0", "",
    "1 when Redis answered this gateway's last look, once a second.", "0: see Redis; nothing can be accepted.")
GATEWAY_REDIS_USED: Final = gauge("weir_gateway_redis_memory_used_bytes", "bytes", "",
    "Memory Redis uses.", "Rising: events wait; see the processors.")
GATEWAY_REDIS_LIMIT: Final = gauge("weir_gateway_redis_memory_limit_bytes", "bytes", "",
    "Memory Redis may use before the gateway answers 503 backlog-full; 0 is no limit.",
    "0: set maxmemory in Redis, or WEIR_BACKLOG_LIMIT_BYTES.")
GATEWAY_REDIS_MAX: Final = gauge("weir_gateway_redis_memory_max_bytes", "bytes", "",
    "Redis's own maxmemory; 0 is none.", "0: an ever longer backlog ends with Redis killed; set it.")
GATEWAY_BACKLOG_LIMIT: Final = gauge("weir_gateway_backlog_limit_events", "events", "",
    "Events waiting in a stream at which the gateway answers 503 backlog-full.", "Set by WEIR_BACKLOG_LIMIT_EVENTS.")

counter, gauge, histogram = _of("processor")
PROCESSOR_STORED: Final = counter("weir_processor_events_stored_total", "events", "",
    "Events written to PostgreSQL and committed.", "None while events wait: see outages and halts.")
PROCESSOR_DUPLICATE: Final = counter("weir_processor_events_duplicate_total", "events", "",
    "Events found stored already, beyond the early filter.", "Many: producers repeat themselves late; see them.")
PROCESSOR_CONFLICTING: Final = counter("weir_processor_events_conflicting_total", "events", "",
    "Those of them whose payload is not the stored one's.", "Any: a producer gives one id to two events; see it.")
PROCESSOR_SETTLED: Final = counter("weir_processor_events_settled_total", "events", "stream",
    "Events (audit records, failed events) committed and acknowledged.", "None while a stream is not empty: see it.")
PROCESSOR_FAILED: Final = counter("weir_processor_events_failed_total", "events", "stream",
    "Events moved to the dead stream.", "Any: see weir failed list.")
PROCESSOR_RETRIED: Final = counter("weir_processor_events_retried_total", "events", "",
    "Failed events that the schedule put back on their stream.", "Many, and they fail again: mend the cause.")
PROCESSOR_RETRIES: Final = counter("weir_processor_retries_total", "attempts", "stream server",
    "Times a read, a batch or an acknowledgement had to be tried again, as that server could not serve it.",
    "Rising: that server is away or slow.")
PROCESSOR_REDELIVERED: Final = counter("weir_processor_entries_redelivered_total", "entries", "stream",
    "Entries that an earlier transaction had stored.", "Many: processors die or hang, or COMMITs lose replies.")
PROCESSOR_CLAIMED: Final = counter("weir_processor_entries_claimed_total", "entries", "stream",
    "Entries taken over from another consumer.", "Many: processors die or hang, or WEIR_CLAIM_IDLE_SECONDS is short.")
PROCESSOR_LOST: Final = counter("weir_processor_events_lost_total", "events", "stream",
    "Events that another hand deleted or trimmed.", "Any: see entries.lost in the log, and who trims.")
PROCESSOR_OUTAGE: Final = gauge("weir_processor_outage", "1 or 0", "stream server",
    "1 while a server is away and the loop waits; by server.", "See that server.")
PROCESSOR_STANDING: Final = gauge("weir_processor_standing", "loops", "stream state",
    "Loops that stand still, by stream and state: halted or paused.", "Any: see weir processors status.")
PROCESSOR_BATCH_SECONDS: Final = histogram("weir_processor_batch_duration_seconds", "seconds", "stream",
    "Time to write one batch, up to COMMIT.", "High: PostgreSQL is slow; see its disk and locks.", _BATCH_SECONDS)
PROCESSOR_BATCH_EVENTS: Final = histogram("weir_processor_batch_events", "events", "stream",
    "Events a batch.", "Always at the limit: the processor is behind; add processors.", _BATCH_EVENTS)
PROCESSOR_RECEIPT_TO_STORED: Final = histogram("weir_processor_receipt_to_stored_seconds", "seconds", "",
    "Time from an event's receipt by a gateway to the COMMIT that stored it; replays count from their first receipt.",
    "High: processors are behind, PostgreSQL is slow, or clocks differ.", _STORED_SECONDS)
PROCESSOR_UPKEEP: Final = gauge("weir_processor_upkeep_last_run_timestamp_seconds", "seconds since 1970", "",
    "When this process last did the upkeep (rollups, accepted counts, fence); 0 if never. One processor leads.",
    "The newest of all is old: see upkeep.put_off in the log.")
MAINTENANCE_LAST_SUCCESS: Final = gauge("weir_maintenance_last_success_timestamp_seconds", "seconds since 1970", "task",
    "When whichever processor led last did the daily task: partitions made ahead, or retention; 0 if never.",
    "Older than a day: see maintenance.put_off and retention.refused in the processors' log.")
MAINTENANCE_SECONDS: Final = gauge("weir_maintenance_last_duration_seconds", "seconds", "task",
    "How long that run took.", "Hours: long transactions keep retention waiting; see pg_stat_activity.")
MAINTENANCE_FAILURES: Final = counter("weir_maintenance_failures_total", "rounds", "reason",
    "Rounds, one every 15 s, that could not do what was due: PostgreSQL failed, or the clock is not believed.",
    "clock: see retention.refused in the log; postgresql: maintenance.put_off.")
RETENTION_DROPPED: Final = counter("weir_retention_partitions_dropped_total", "partitions", "table",
    "Day partitions past retention that this process dropped.", "More than one of each table a day: was it meant?")
RETENTION_LEFT: Final = gauge("weir_retention_partitions_left", "partitions", "",
    "Those past retention that the last run left: put off for long transactions, or beyond its 8 days of a table.",
    "For days: end those transactions, then weir retention run.")

counter, gauge, histogram = _of("analytics")
ANALYTICS_REQUESTS: Final = counter("weir_analytics_requests_total", "requests", "method route status",
    "Requests answered, by method, route and status; route `unmatched` as in the gateway.",
    "Many 504: questions too wide; many 503: see the servers.")
ANALYTICS_REQUEST_SECONDS: Final = histogram("weir_analytics_request_duration_seconds", "seconds", "route",
    "Time from a request's head to its answer's end, by route.", "High: PostgreSQL is slow, or ranges are wide.",
    _QUERY_SECONDS)
ANALYTICS_REDIS_UP: Final = gauge("weir_analytics_redis_up", "1 or 0", "",
    "1 when Redis answered this scrape.", "0: see Redis.")
ANALYTICS_POSTGRESQL_UP: Final = gauge("weir_analytics_postgresql_up", "1 or 0", "",
    "1 when PostgreSQL answered the last look, at most 5 s ago.", "0: see PostgreSQL, and the role weir_reader.")
ANALYTICS_REPLICA_LAG: Final = gauge("weir_analytics_replica_lag_seconds", "seconds", "",
    "Age of what the streaming replica shows; 0 of a primary, NaN when the replica has replayed nothing yet.",
    "High: the replica is too slow, a long query holds up its replay, or it has lost its primary.")
ANALYTICS_REPLICA_STREAMING: Final = gauge("weir_analytics_replica_streaming", "1 or 0", "",
    "1 when what is read is a primary, or a replica that hears its primary.",
    "0: see the primary, and primary_conninfo of the replica; answers grow older.")
STREAM_LENGTH: Final = gauge("weir_stream_length_events", "events", "stream shard",
    "Events in a stream, not settled.", "Rising: processors do not keep up; add some, or see PostgreSQL.")
STREAM_LAG: Final = gauge("weir_stream_lag_events", "events", "stream shard",
    "Events not delivered to a processor yet.", "Rising: no processor runs, or too few.")
STREAM_PENDING: Final = gauge("weir_stream_pending_events", "events", "stream shard",
    "Events delivered and not settled.", "Steady while lag rises: a processor hangs, or PostgreSQL is away.")
STREAM_OLDEST_AGE: Final = gauge("weir_stream_oldest_age_seconds", "seconds", "stream shard",
    "Age of the oldest event not settled; 0 when there is none.", "Rising: as for length.")
PROCESSORS: Final = gauge("weir_processors", "processors", "state",
    "Processors by what they tell of themselves; `gone` are consumers that tell nothing.",
    "Halted: a person has to act; see weir processors status.")
PARTITIONS_AHEAD: Final = gauge("weir_partitions_ahead_days", "days", "table",
    "Days after today (UTC), without a hole, whose partition is there; 31 at most, -1 when today's is missing.",
    "Below 1: processors cannot make them; see partitions.not_made in their log.")
ROLLUPS_COMPACTED: Final = gauge("weir_rollups_compacted_until_timestamp_seconds", "seconds since 1970", "",
    "Up to when minutes are added to the rollups by hour and day; answers are exact anyway, only slower.",
    "Old: see upkeep.put_off in the processors' log.")
RECONCILE_LAST_RUN: Final = gauge("weir_reconcile_last_run_timestamp_seconds", "seconds since 1970", "",
    "When weir reconcile last ended, but for runs on one client; 0 if not within 30 days.", "Run it daily.")
RECONCILE_DIFFERENCES: Final = gauge("weir_reconcile_differences", "differences", "",
    "Differences that run found; 0 if there was none.", "Any: run weir reconcile, it names them.")
# fmt: on

EVERY_METRIC: Final = tuple(value for value in list(globals().values()) if isinstance(value, MetricDefinition))
