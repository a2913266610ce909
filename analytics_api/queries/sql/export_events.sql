-- One client's events, oldest first, for a cursor.
-- Holes: conditions on payload; other names are bound.
-- Parameters: client_id, start, end; event_type or NULL.
-- Index: events_client_time, a day after another: the first rows come at once, and nothing is sorted but equal times.
SELECT event_id, client_id, event_type, payload::text AS payload, occurred_at, received_at, stored_at,
       context::text AS context
FROM events
WHERE client_id = %(client_id)s AND occurred_at >= %(start)s AND occurred_at < %(end)s
  AND (%(event_type)s::text IS NULL OR event_type = %(event_type)s)
  AND {conditions}
ORDER BY occurred_at, event_id
