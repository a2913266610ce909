-- How many of the given ids of a client are stored. Parameters: client_id, ids (text[]). Index: event_ids_pkey.
SELECT count(*) FROM event_ids WHERE client_id = %(client_id)s AND event_id = ANY(%(ids)s)
