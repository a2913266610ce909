-- The events of all clients, newest first: the newest of each, merged.
-- Parameters: as list_events.sql without client_id; before_client beside before_id.
-- Index: event_ids_pkey, walked from client to client; then events_client_time, backwards, for each client.
WITH RECURSIVE clients AS (
    (SELECT min(client_id) AS client_id FROM event_ids)
    UNION ALL
    SELECT (SELECT min(i.client_id) FROM event_ids AS i WHERE i.client_id > clients.client_id)
    FROM clients WHERE clients.client_id IS NOT NULL
), merged AS (
    SELECT newest.*
    FROM clients CROSS JOIN LATERAL (
        SELECT e.*
        FROM events AS e
        WHERE e.client_id = clients.client_id AND e.occurred_at >= %(start)s AND e.occurred_at < %(end)s
          AND (%(event_type)s::text IS NULL OR e.event_type = %(event_type)s)
          AND (%(before_at)s::timestamptz IS NULL
               OR (e.occurred_at, e.event_id, e.client_id) < (%(before_at)s, %(before_id)s, %(before_client)s))
          AND {conditions}
        ORDER BY e.occurred_at DESC, e.event_id DESC
        LIMIT %(limit)s
    ) AS newest
    ORDER BY newest.occurred_at DESC, newest.event_id DESC, newest.client_id DESC
    LIMIT %(limit)s
)
SELECT event_id, client_id, event_type, payload::text AS payload, occurred_at, received_at, stored_at,
       context::text AS context
FROM merged
ORDER BY occurred_at DESC, event_id DESC, client_id DESC
