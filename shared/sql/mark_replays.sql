-- Marks failed events as being replayed and returns what they were. Those that another replay marked since
-- stale_before, or that another transaction has in hand, are passed over: never waits, so never in a deadlock.
-- Parameters: ids, now, stale_before, scheduled (1 or 0). Index: failed_events_pkey.
WITH picked AS (
    SELECT id FROM failed_events
    WHERE id = ANY(%(ids)s::bigint[]) AND event_id IS NOT NULL AND event_type IS NOT NULL AND received_at IS NOT NULL
      AND (replayed_at IS NULL OR replayed_at <= %(stale_before)s)
    FOR UPDATE SKIP LOCKED
)
UPDATE failed_events f SET replayed_at = %(now)s, replays = f.replays + 1, retries = f.retries + %(scheduled)s
FROM picked WHERE f.id = picked.id
RETURNING f.id, f.client_id, f.event_id, f.event_type,
          (extract(epoch FROM f.occurred_at) * 1000000)::bigint AS occurred_us,
          (extract(epoch FROM f.received_at) * 1000000)::bigint AS received_us,
          f.payload, f.origin
