-- One stored event.
-- Parameters: client_id, event_id.
-- Index: event_ids_pkey in one hash partition, then events_client_time in the one day it names.
SELECT e.event_id, e.client_id, e.event_type, e.payload::text AS payload, e.occurred_at, e.received_at, e.stored_at,
       e.context::text AS context
FROM event_ids AS i
JOIN events AS e USING (client_id, occurred_at, event_id)
WHERE i.client_id = %(client_id)s AND i.event_id = %(event_id)s
