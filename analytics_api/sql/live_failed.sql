-- Failed events that wait for a decision: of all clients, and of each one named.
-- Parameters: everybody, clients: as live_stored.sql.
-- Index: failed_events_once.
SELECT NULL::text AS client_id, count(*) AS failed FROM failed_events WHERE %(everybody)s
UNION ALL
SELECT client_id, count(*) FROM failed_events WHERE client_id = ANY (%(clients)s::text[]) GROUP BY client_id
