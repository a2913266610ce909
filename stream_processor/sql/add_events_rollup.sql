-- Adds to the counts of events by minute of occurred_at, in key order. Index: rollup_events_minute_pkey.
INSERT INTO rollup_events_minute AS r (bucket_start, client_id, event_type, events, bytes)
SELECT to_timestamp(minute_us / 1e6), client_id, event_type, events, bytes
FROM unnest(%(minutes)s::bigint[], %(client_ids)s::text[], %(event_types)s::text[], %(events)s::bigint[], %(bytes)s::bigint[])
    AS i(minute_us, client_id, event_type, events, bytes)
ORDER BY minute_us, client_id COLLATE "C", event_type COLLATE "C"
ON CONFLICT (bucket_start, client_id, event_type)
DO UPDATE SET events = r.events + excluded.events, bytes = r.bytes + excluded.bytes
