-- A failed event, unless it is stored (then no row is written); one that failed before is counted up and keeps its first
-- failure. A failure of the same kind as the last one is counted as such. next_retry_at: see shared.failed_events.RetryPolicy.
-- Index: failed_events_once, and event_ids' primary keys.
INSERT INTO failed_events AS f (client_id, event_id, event_type, occurred_at, received_at, payload, reason, sqlstate,
                                detail, attempts, first_failed_at, last_failed_at, next_step, origin, next_retry_at)
SELECT %(client_id)s, %(event_id)s, %(event_type)s, to_timestamp(%(occurred_us)s::bigint / 1e6),
       to_timestamp(%(received_us)s::bigint / 1e6), %(payload)s, %(reason)s, %(sqlstate)s, %(detail)s, %(attempts)s,
       to_timestamp(%(failed_us)s::bigint / 1e6), to_timestamp(%(failed_us)s::bigint / 1e6), %(next_step)s, %(origin)s,
       CASE WHEN %(retried)s AND %(most_tries)s > 0
            THEN to_timestamp(%(failed_us)s::bigint / 1e6)
                 + make_interval(secs => least(%(base_seconds)s, %(cap_seconds)s)::float) END
WHERE %(event_id)s::text IS NULL OR NOT event_is_stored(%(client_id)s, %(event_id)s)
ON CONFLICT (client_id, event_id) WHERE event_id IS NOT NULL DO UPDATE SET
    payload = excluded.payload, reason = excluded.reason, sqlstate = excluded.sqlstate, detail = excluded.detail,
    attempts = f.attempts + excluded.attempts, last_failed_at = excluded.last_failed_at, origin = excluded.origin,
    same_kind_failures = CASE WHEN (f.reason, f.sqlstate) IS NOT DISTINCT FROM (excluded.reason, excluded.sqlstate)
                              THEN f.same_kind_failures + 1 ELSE 1 END,
    next_step = CASE WHEN (f.reason, f.sqlstate) IS NOT DISTINCT FROM (excluded.reason, excluded.sqlstate)
                          AND f.same_kind_failures + 1 >= %(same_kind_limit)s
                     THEN %(stopped_step)s ELSE excluded.next_step END,
    later_receipts = CASE WHEN %(replayed)s THEN f.later_receipts
                          ELSE f.later_receipts || coalesce(excluded.received_at, excluded.last_failed_at) END,
    replayed_at = CASE WHEN %(replayed)s THEN NULL ELSE f.replayed_at END,
    next_retry_at = CASE WHEN %(retried)s AND f.retries < %(most_tries)s
                         THEN excluded.last_failed_at + make_interval(
                             secs => least(%(base_seconds)s * power(%(factor)s::float, f.retries), %(cap_seconds)s)) END
