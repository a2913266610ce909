-- Whether the tables this service reads are there and may be read; returns no row, fails if not.
-- Parameters: none.
SELECT FROM events, event_ids, failed_events, audit_logs, rollup_events_minute, rollup_latency_minute, rollup_intake_minute
LIMIT 0
