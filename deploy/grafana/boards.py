"""What the four dashboards show. Long because every panel stands here; metrics are those of the definitions.

Counters are shown over 1 minute: at the scrape interval of 10 s a change is seen at once and noise is not.
"""

from typing import Any, Final

from deploy.grafana.panel import Panel, dashboard, stat


def _rate(selector: str, by: str = "") -> str:
    return f"sum{f' by ({by}) ' if by else ''}(rate({selector}[1m]))"


def _quantile(share: float, histogram: str, by: str = "", matchers: str = "") -> str:
    grouping = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({grouping}) (rate({histogram}_bucket{matchers}[1m])))"


def _quantiles(histogram: str, matchers: str = "") -> tuple[tuple[str, str], ...]:
    return tuple((_quantile(share, histogram, matchers=matchers), name) for share, name in _SHARES)


def _processes(job: str) -> list[Panel]:
    own = f'{{job="{job}"}}'
    return [
        Panel("CPU", "Of each process; 1 is a whole core, and a process has no use for more.", "none",
              ((f"rate(process_cpu_seconds_total{own}[1m])", "{{instance}}"),)),
        Panel("Memory", "Resident memory of each process.", "bytes",
              ((f"process_resident_memory_bytes{own}", "{{instance}}"),)),
        Panel("Open files", "Files and connections of each process, and the least limit of one.", "none",
              ((f"process_open_fds{own}", "{{instance}}"), (f"min(process_max_fds{own})", "limit"))),
    ]  # fmt: skip


def _pool(job: str) -> list[Panel]:
    own = f'{{job="{job}"}}'
    return [
        Panel("PostgreSQL connections", "Of the pools: open, idle, and calls that wait for one.", "none",
              ((f"sum(weir_pool_connections{own})", "open"), (f"sum(weir_pool_connections_idle{own})", "idle"),
               (f"sum(weir_pool_connections_max{own})", "most"), (f"sum(weir_pool_requests_waiting{own})", "waiting"))),
        Panel("Waiting for a connection", "Mean wait, and calls that gave up or could not connect.", "s",
              ((f"{_rate(f'weir_pool_wait_seconds_total{own}')} / {_rate(f'weir_pool_requests_total{own}')}", "mean"),
               (_rate(f"weir_pool_request_errors_total{own}"), "gave up /s"),
               (_rate(f"weir_pool_connection_errors_total{own}"), "not connected /s"))),
    ]  # fmt: skip


_SHARES: Final = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
_INGEST: Final = 'route=~"/api/v1/events/.*"'
_FAILING: Final = f'{{{_INGEST},status=~"5.."}}'
_STORED: Final = "weir_processor_receipt_to_stored_seconds"
_PUBLISH: Final = "weir_gateway_publish_duration_seconds"

# fmt: off
_OVERVIEW: Final = [
    stat("Accepted", "Events put into Redis, a second.", "ops", _rate("weir_gateway_events_accepted_total")),
    stat("Stored", "Events committed to PostgreSQL, a second.", "ops", _rate("weir_processor_events_stored_total")),
    stat("Waiting", "Events accepted and not settled.", "short",
         'sum(max by (shard) (weir_stream_length_events{stream="events"}))'),
    stat("Oldest waiting", "Age of the oldest event not stored.", "s",
         'max(weir_stream_oldest_age_seconds{stream="events"})', red_at=60),
    stat("Failed, last hour", "Events given up; see weir failed list.", "short",
         'sum(increase(weir_processor_events_failed_total{stream="events"}[1h]))', red_at=1),
    stat("Refused with 5xx", "Share of ingest requests.", "percentunit",
         f"{_rate(f'weir_gateway_requests_total{_FAILING}')}"
         f" / {_rate(f'weir_gateway_requests_total{{{_INGEST}}}')}", red_at=0.01),
    stat("Gateways", "That answer Prometheus.", "none", 'sum(up{job="weir-gateway"})'),
    stat("Processors", "That answer Prometheus.", "none", 'sum(up{job="weir-processor"})'),
    stat("Halted", "Processors that wait for a person.", "none", 'max(weir_processors{state="halted"})', red_at=1),
    stat("Redis", "1 when every gateway reaches it.", "none", "min(weir_gateway_redis_up)"),
    stat("PostgreSQL", "1 when analytics reaches it.", "none", "min(weir_analytics_postgresql_up)"),
    stat("Differences", "That the last weir reconcile named.", "none", "max(weir_reconcile_differences)", red_at=1),
    Panel("Flow", "Accepted and what became of it; the lines should lie on one another.", "ops",
          ((_rate("weir_gateway_events_accepted_total"), "accepted"),
           (_rate("weir_processor_events_stored_total"), "stored"),
           (_rate("weir_processor_events_duplicate_total"), "duplicate in PostgreSQL"),
           (_rate('weir_processor_events_failed_total{stream="events"}'), "failed")), width=12),
    Panel("Receipt to stored", "From a gateway's receipt to COMMIT.", "s", _quantiles(_STORED), width=12),
    Panel("Backlog", "Events waiting in each stream, and the limit.", "short",
          (("sum by (stream) (max by (stream, shard) (weir_stream_length_events))", "{{stream}}"),
           ("min(weir_gateway_backlog_limit_events)", "limit of a shard"))),
    Panel("Redis memory", "Used, and where gateways and Redis itself stop.", "bytes",
          (("max(weir_gateway_redis_memory_used_bytes)", "used"),
           ("max(weir_gateway_redis_memory_limit_bytes)", "backlog-full"),
           ("max(weir_gateway_redis_memory_max_bytes)", "maxmemory"))),
    Panel("Ingest requests", "By status.", "reqps",
          ((_rate(f"weir_gateway_requests_total{{{_INGEST}}}", "status"), "{{status}}"),), stacked=True),
    Panel("Partitions ahead", "Days that are ready; processors keep three.", "none",
          (("min by (table) (weir_partitions_ahead_days)", "{{table}}"),)),
    Panel("Since upkeep and reconcile", "Time since each; upkeep is due every 15 s, rollups follow within 6 minutes.",
          "s", (("time() - max(weir_processor_upkeep_last_run_timestamp_seconds)", "upkeep"),
                ("time() - max(weir_rollups_compacted_until_timestamp_seconds)", "rollups"),
                ("time() - max(weir_reconcile_last_run_timestamp_seconds > 0)", "reconcile"))),
    Panel("Since maintenance", "Time since each daily task was done; more than a day is too long.", "s",
          (("time() - max by (task) (weir_maintenance_last_success_timestamp_seconds > 0)", "{{task}}"),)),
    Panel("Releases", "Processes by release; more than one during an upgrade only.", "none",
          (("count by (service, version) (weir_build_info)", "{{service}} {{version}}"),)),
]

_GATEWAY: Final = [
    Panel("Events", "Accepted, and what was not: known to the early filter, or invalid.", "ops",
          ((_rate("weir_gateway_events_accepted_total"), "accepted"),
           (_rate("weir_gateway_events_duplicate_total"), "duplicate"),
           (_rate("weir_gateway_events_rejected_total"), "rejected"))),
    Panel("Requests", "All, by status.", "reqps", ((_rate("weir_gateway_requests_total", "status"), "{{status}}"),),
          stacked=True),
    Panel("Requests by route", "Templates; unmatched is what led nowhere or was refused before.", "reqps",
          ((_rate("weir_gateway_requests_total", "route"), "{{route}}"),)),
    Panel("Duration of ingest requests", "From head to answer; with Prefer: wait, the wait too.", "s",
          _quantiles("weir_gateway_request_duration_seconds", f"{{{_INGEST}}}")),
    Panel("Duration by route, p95", "From head to answer.", "s",
          ((_quantile(0.95, "weir_gateway_request_duration_seconds", "route"), "{{route}}"),)),
    Panel("In hand", "Requests being served, those that wait for Redis, and the limit of a process.", "none",
          (("sum(weir_gateway_requests_active)", "active"), ("sum(weir_gateway_publish_waiting_requests)", "for Redis"),
           ("min(weir_gateway_concurrency_limit_requests)", "limit"))),
    Panel("Refused", "Ingest requests, by problem.", "reqps",
          ((_rate("weir_gateway_ingest_refused_total", "problem"), "{{problem}}"),)),
    Panel("Limiter", "Decisions about requests with a key.", "reqps",
          ((_rate("weir_gateway_limiter_decisions_total", "decision"), "{{decision}}"),)),
    Panel("Waiting bytes", "Held by requests that wait for Redis; 64 MiB a process at most.", "bytes",
          (("sum(weir_gateway_publish_waiting_bytes)", "bytes"),)),
    Panel("Calls to Redis", "Of the atomic function; concurrent requests share one.", "ops",
          ((_rate("weir_gateway_publish_calls_total", "outcome"), "{{outcome}}"),)),
    Panel("Duration of a call", "Redis, and the way there and back.", "s", _quantiles(_PUBLISH)),
    Panel("Events a call", "How well concurrent requests share.", "short",
          _quantiles("weir_gateway_publish_batch_events")),
    *_pool("weir-gateway"),
    *_processes("weir-gateway"),
]

_PROCESSORS: Final = [
    Panel("Settled", "Committed and acknowledged, by stream.", "ops",
          ((_rate("weir_processor_events_settled_total", "stream"), "{{stream}}"),)),
    Panel("Events", "What became of them.", "ops",
          ((_rate("weir_processor_events_stored_total"), "stored"),
           (_rate("weir_processor_events_duplicate_total"), "duplicate"),
           (_rate("weir_processor_events_conflicting_total"), "duplicate with another payload"),
           (_rate("weir_processor_events_failed_total"), "failed"),
           (_rate("weir_processor_events_retried_total"), "put back by schedule"))),
    Panel("Receipt to stored", "From a gateway's receipt to COMMIT.", "s", _quantiles(_STORED)),
    Panel("Waiting for a processor", "Lag: events not delivered yet.", "short",
          (("sum by (stream) (max by (stream, shard) (weir_stream_lag_events))", "{{stream}}"),)),
    Panel("In processors' hands", "Pending: delivered and not settled.", "short",
          (("sum by (stream) (max by (stream, shard) (weir_stream_pending_events))", "{{stream}}"),)),
    Panel("Oldest", "Age of the oldest event not settled.", "s",
          (("max by (stream) (weir_stream_oldest_age_seconds)", "{{stream}}"),)),
    Panel("Stored by each", "Events a second, by process.", "ops",
          (("rate(weir_processor_events_stored_total[1m])", "{{instance}}"),), stacked=True),
    Panel("Duration of a batch", "Up to COMMIT, of the event stream.", "s",
          _quantiles("weir_processor_batch_duration_seconds", '{stream="events"}')),
    Panel("Events a batch", "Of the event stream; always at the limit means behind.", "short",
          _quantiles("weir_processor_batch_events", '{stream="events"}')),
    Panel("States", "What processors tell of themselves.", "none", (("max by (state) (weir_processors)", "{{state}}"),),
          stacked=True),
    Panel("Standing still and waiting", "Loops that are halted or paused, or wait for a server.", "none",
          (("sum by (stream, state) (weir_processor_standing)", "{{stream}} {{state}}"),
           ("sum by (server) (weir_processor_outage)", "waiting for {{server}}"))),
    Panel("Tried again", "Reads, batches and acknowledgements that a server could not serve.", "ops",
          ((_rate("weir_processor_retries_total", "server"), "{{server}}"),)),
    Panel("Delivered again", "Entries claimed from others, and entries that were stored already.", "ops",
          ((_rate("weir_processor_entries_claimed_total"), "claimed"),
           (_rate("weir_processor_entries_redelivered_total"), "stored already"))),
    Panel("Lost", "Events that another hand deleted, in an hour. Must be 0.", "short",
          (("sum by (stream) (increase(weir_processor_events_lost_total[1h]))", "{{stream}}"),)),
    Panel("Failed", "Moved to the dead stream, in 10 minutes.", "short",
          (("sum by (stream) (increase(weir_processor_events_failed_total[10m]))", "{{stream}}"),)),
    Panel("Duration of maintenance", "Of the last run of each daily task.", "s",
          (("max by (task) (weir_maintenance_last_duration_seconds)", "{{task}}"),)),
    Panel("Retention", "Day partitions dropped in a day, and those past retention that the last run left.", "none",
          (("sum by (table) (increase(weir_retention_partitions_dropped_total[1d]))", "dropped: {{table}}"),
           ("max(weir_retention_partitions_left)", "left"))),
    Panel("Maintenance that failed", "Rounds in 10 minutes that could not do what was due.", "short",
          (("sum by (reason) (increase(weir_maintenance_failures_total[10m]))", "{{reason}}"),)),
    *_processes("weir-processor"),
]

_ANALYTICS: Final = [
    Panel("Requests", "By status.", "reqps", ((_rate("weir_analytics_requests_total", "status"), "{{status}}"),),
          stacked=True),
    Panel("Requests by route", "Templates.", "reqps",
          ((_rate("weir_analytics_requests_total", "method, route"), "{{method}} {{route}}"),)),
    Panel("Duration", "From head to the answer's end.", "s", _quantiles("weir_analytics_request_duration_seconds")),
    Panel("Duration by route, p95", "From head to the answer's end.", "s",
          ((_quantile(0.95, "weir_analytics_request_duration_seconds", "route"), "{{route}}"),), width=16),
    Panel("Servers", "1 when reached.", "none",
          (("min(weir_analytics_redis_up)", "Redis"), ("min(weir_analytics_postgresql_up)", "PostgreSQL"))),
    Panel("Replica", "Age of what the streaming replica shows; 0 of a primary.", "s",
          (("max by (instance) (weir_analytics_replica_lag_seconds)", "{{instance}}"),)),
    *_pool("weir-analytics"),
    *_processes("weir-analytics"),
]
# fmt: on

DASHBOARDS: Final[dict[str, dict[str, Any]]] = {
    name: dashboard(name, title, about, panels)
    for name, title, about, panels in (
        ("overview", "Weir: overview", "Is all well, and where not?", _OVERVIEW),
        ("gateway", "Weir: gateway", "HTTP in, Redis out.", _GATEWAY),
        ("processors", "Weir: processors", "Redis in, PostgreSQL out.", _PROCESSORS),
        ("analytics", "Weir: analytics", "Questions and answers.", _ANALYTICS),
    )
}
