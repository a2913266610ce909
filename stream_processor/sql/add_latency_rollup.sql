-- Adds to the latency histograms by minute of storage, in key order. Index: rollup_latency_minute_pkey.
INSERT INTO rollup_latency_minute AS r (bucket_start, client_id, event_type, bucket, events)
SELECT to_timestamp(minute_us / 1e6), client_id, event_type, bucket, events
FROM unnest(%(minutes)s::bigint[], %(client_ids)s::text[], %(event_types)s::text[], %(buckets)s::smallint[], %(events)s::bigint[])
    AS i(minute_us, client_id, event_type, bucket, events)
ORDER BY minute_us, client_id COLLATE "C", event_type COLLATE "C", bucket
ON CONFLICT (bucket_start, client_id, event_type, bucket) DO UPDATE SET events = r.events + excluded.events
