-- All clients that have events.
-- Parameters: none.
-- Index: event_ids_pkey, walked from client to client.
WITH RECURSIVE clients AS (
    (SELECT min(client_id) AS client_id FROM event_ids)
    UNION ALL
    SELECT (SELECT min(i.client_id) FROM event_ids AS i WHERE i.client_id > clients.client_id)
    FROM clients WHERE clients.client_id IS NOT NULL
)
SELECT client_id FROM clients WHERE client_id IS NOT NULL ORDER BY client_id
