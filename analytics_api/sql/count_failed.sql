-- How many events are given up and wait for a decision.
-- Parameters: client_id or NULL.
-- Index: failed_events_once.
SELECT count(*) AS failed FROM failed_events WHERE (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
