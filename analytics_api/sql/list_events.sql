-- One client's events, newest first.
-- Parameters: client_id, start, end; event_type or NULL; before_at and before_id, the last row of the page before, or NULL; limit.
-- Index: events_client_time, backwards, in the days of the range from the last one on until the page is full.
SELECT event_id, client_id, event_type, payload::text AS payload, occurred_at, received_at, stored_at,
       context::text AS context
FROM events
WHERE client_id = %(client_id)s AND occurred_at >= %(start)s AND occurred_at < %(end)s
  AND (%(event_type)s::text IS NULL OR event_type = %(event_type)s)
  AND (%(before_at)s::timestamptz IS NULL OR (occurred_at, event_id) < (%(before_at)s, %(before_id)s))
  AND {conditions}
ORDER BY occurred_at DESC, event_id DESC
LIMIT %(limit)s
