-- How many failed events are past their retention and not being replayed. Index: failed_events_time.
SELECT count(*) FROM failed_events
WHERE last_failed_at < %(before)s AND (replayed_at IS NULL OR replayed_at < %(stale_before)s)
