-- Inserts ids in key order (no deadlock between processors). known: places, from 1, of those that were there before, NULL for
-- none; any_failed: whether there are failed events at all (migration 0011).
-- Parameters: arrays of client_id, event_id, occurred_at, payload_crc, in binary; whether some are expected to be known.
SELECT known, any_failed FROM store_event_ids(%b::text[], %b::text[], %b::timestamptz[], %b::int4[], %b)
