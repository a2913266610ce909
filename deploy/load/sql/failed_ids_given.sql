-- How many of the given ids were given up by the processors. Parameters: client_id, ids. Index: failed_events_once.
SELECT count(*) FROM failed_events WHERE client_id = %(client_id)s AND event_id = ANY(%(ids)s)
