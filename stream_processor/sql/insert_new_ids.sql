-- Inserts ids in the order given (key order: no deadlock between processors); those that are there already are passed
-- over, and the command's row count tells whether there were any: the cheapest form when, as nearly always, there are none.
-- Parameters: arrays of client_id, event_id, occurred_at, payload_crc, in binary.
INSERT INTO event_ids (client_id, event_id, occurred_at, payload_crc)
SELECT * FROM unnest(%b::text[], %b::text[], %b::timestamptz[], %b::int4[])
ON CONFLICT DO NOTHING
