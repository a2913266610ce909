-- Deletes a chunk of the failed events that are past their retention and not being replayed. Index: failed_events_time.
DELETE FROM failed_events WHERE id = ANY(ARRAY(
    SELECT id FROM failed_events
    WHERE last_failed_at < %(before)s AND (replayed_at IS NULL OR replayed_at < %(stale_before)s)
    ORDER BY last_failed_at LIMIT %(rows)s FOR UPDATE SKIP LOCKED))
