-- Inserts new ids, in the order given (key order: no deadlock between processors), and returns the places, from 1, of
-- those that were there before. Parameters: arrays of client_id, event_id, occurred_at, payload_crc, in binary.
-- Index: the primary keys of event_ids' partitions.
WITH input AS MATERIALIZED (
    SELECT * FROM unnest(%b::text[], %b::text[], %b::timestamptz[], %b::int4[])
        WITH ORDINALITY AS i(client_id, event_id, occurred_at, payload_crc, place)
), fresh AS (
    INSERT INTO event_ids (client_id, event_id, occurred_at, payload_crc)
    SELECT client_id, event_id, occurred_at, payload_crc FROM input
    ON CONFLICT DO NOTHING
    RETURNING client_id, event_id
)
SELECT place FROM input LEFT JOIN fresh USING (client_id, event_id) WHERE fresh.event_id IS NULL
