-- The failed events whose retry is due, the longest due first. Parameters: now, stale_before, most_tries, limit.
-- Index: failed_events_due.
SELECT id FROM failed_events
WHERE next_retry_at <= %(now)s AND retries < %(most_tries)s AND (replayed_at IS NULL OR replayed_at <= %(stale_before)s)
ORDER BY next_retry_at, id
LIMIT %(limit)s
