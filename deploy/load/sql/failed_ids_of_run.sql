-- How many events of a run were given up by the processors. Parameters: client_id, low, high. Index: failed_events_once.
SELECT count(*) FROM failed_events
WHERE client_id = %(client_id)s AND event_id >= %(low)s AND event_id < %(high)s
