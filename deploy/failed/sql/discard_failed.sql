-- Deletes failed events, but for those that were put back on their stream since stale_before. Index: failed_events_pkey.
DELETE FROM failed_events
WHERE id = ANY(%(ids)s::bigint[]) AND (replayed_at IS NULL OR replayed_at <= %(stale_before)s)
RETURNING id
