-- Removes events that are stored from the failed ones; returns them with every receipt that was counted as failed, in
-- microseconds since 1970. The caller's transaction has their event_ids: who else writes these rows waits for it there.
-- LIMIT keeps it to a look into the index for each key: a join would read the whole table, and that may be large.
-- Parameters: arrays of client_id and event_id, in binary. Index: failed_events_once.
DELETE FROM failed_events f
WHERE f.id = ANY(ARRAY(
    SELECT found.id FROM unnest(%b::text[], %b::text[]) AS i(client_id, event_id) CROSS JOIN LATERAL (
        SELECT g.id FROM failed_events g
        WHERE g.client_id = i.client_id AND g.event_id = i.event_id AND g.event_id IS NOT NULL LIMIT 1
    ) AS found))
RETURNING f.client_id, f.event_id,
    ARRAY(SELECT (extract(epoch FROM receipt) * 1000000)::bigint
          FROM unnest(coalesce(f.received_at, f.first_failed_at) || f.later_receipts) AS receipt)
