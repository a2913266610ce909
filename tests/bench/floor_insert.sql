-- The same uniqueness as a processor's: new ids in key order, then only their events, into the same tables and indexes.
WITH fresh AS (
    INSERT INTO event_ids (client_id, event_id, occurred_at, payload_crc)
    SELECT client_id, event_id, occurred_at, payload_crc FROM staging ORDER BY client_id, event_id
    ON CONFLICT DO NOTHING
    RETURNING client_id, event_id
)
INSERT INTO events (client_id, event_id, event_type, occurred_at, received_at, stored_at, payload, context)
SELECT client_id, event_id, event_type, occurred_at, received_at, now(), payload, context
FROM staging JOIN fresh USING (client_id, event_id);
