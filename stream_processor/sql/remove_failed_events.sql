-- Removes events that are stored from the failed ones; returns them with every receipt that was counted as failed, in
-- microseconds since 1970. The caller's transaction has their event_ids: who else writes these rows waits for it there.
-- Parameters: arrays of client_id and event_id, in binary. Index: failed_events_once.
DELETE FROM failed_events f USING unnest(%b::text[], %b::text[]) AS i(client_id, event_id)
WHERE f.client_id = i.client_id AND f.event_id = i.event_id AND f.event_id IS NOT NULL
RETURNING f.client_id, f.event_id,
    ARRAY(SELECT (extract(epoch FROM receipt) * 1000000)::bigint
          FROM unnest(coalesce(f.received_at, f.first_failed_at) || f.later_receipts) AS receipt)
