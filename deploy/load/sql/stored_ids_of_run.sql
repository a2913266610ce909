-- How many events of a run are stored: those of a client whose ids start with the run's prefix, but for the excepted.
-- Parameters: client_id, low and high (text, the half-open range of ids), excepted (text[]). Index: event_ids_pkey.
SELECT count(*) FROM event_ids
WHERE client_id = %(client_id)s AND event_id >= %(low)s AND event_id < %(high)s AND event_id <> ALL(%(excepted)s)
