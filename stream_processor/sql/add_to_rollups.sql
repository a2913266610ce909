-- Adds a transaction's counts to rollup_events_…, rollup_latency_… and rollup_intake_…, at every level that has to know
-- them now (migration 0008). Parameters: arrays of one length for each of the three; minutes are counted from 1970.
SELECT add_to_rollups(
    %(event_minutes)s::bigint[], %(event_clients)s::text[], %(event_types)s::text[], %(event_counts)s::bigint[],
    %(event_bytes)s::bigint[],
    %(stored_minute)s::bigint, %(latency_clients)s::text[], %(latency_types)s::text[], %(latency_buckets)s::smallint[],
    %(latency_counts)s::bigint[],
    %(intake_minutes)s::bigint[], %(intake_clients)s::text[], %(intake_stored)s::bigint[], %(intake_duplicates)s::bigint[],
    %(intake_conflicting)s::bigint[], %(intake_failed)s::bigint[])
