-- The clients that have an event of this id, stored or failed: at most two, which is enough to see that one is not all.
-- Parameters: event_id.
-- Index: event_ids_pkey, walked from client to client, for it begins with client_id; then one probe a client.
WITH RECURSIVE clients AS (
    (SELECT min(client_id) AS client_id FROM event_ids)
    UNION ALL
    SELECT (SELECT min(i.client_id) FROM event_ids AS i WHERE i.client_id > clients.client_id)
    FROM clients WHERE clients.client_id IS NOT NULL
)
(SELECT client_id FROM clients
 WHERE EXISTS (SELECT FROM event_ids AS i WHERE i.client_id = clients.client_id AND i.event_id = %(event_id)s)
 LIMIT 2)
UNION
(SELECT client_id FROM failed_events WHERE event_id = %(event_id)s LIMIT 2)
LIMIT 2
