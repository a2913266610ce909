-- Inserts ids in the order given (key order: no deadlock between processors) and returns those that it inserted; the others
-- were there already. The row count tells whether there were any, so what is returned is looked at only then.
-- Parameters: arrays of client_id, event_id, occurred_at, payload_crc, in binary.
INSERT INTO event_ids (client_id, event_id, occurred_at, payload_crc)
SELECT * FROM unnest(%b::text[], %b::text[], %b::timestamptz[], %b::int4[])
ON CONFLICT DO NOTHING
RETURNING client_id, event_id
