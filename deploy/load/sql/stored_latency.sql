-- Time from acceptance to stored of a client's events received since a time, and when the last of them was stored.
-- Parameters: client_id, low, high (half-open range of ids), ids (text[], or NULL for all in the range), since, earliest
-- (no event occurred before). Index: events_client_time.
SELECT count(*),
       percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY stored_at - received_at),
       max(stored_at)
FROM events
WHERE client_id = %(client_id)s AND occurred_at >= %(earliest)s AND received_at >= %(since)s
  AND event_id >= %(low)s AND event_id < %(high)s
  AND (%(ids)s::text[] IS NULL OR event_id = ANY(%(ids)s::text[]))
