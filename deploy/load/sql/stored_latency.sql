-- Time from acceptance to stored, in ms, of a client's events received since a time; ids in a half-open range.
-- Parameters: client_id, low, high, since, earliest (no event occurred before). Index: events_client_time.
SELECT count(*),
       percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY stored_at - received_at),
       max(stored_at)
FROM events
WHERE client_id = %(client_id)s AND occurred_at >= %(earliest)s AND received_at >= %(since)s
  AND event_id >= %(low)s AND event_id < %(high)s
