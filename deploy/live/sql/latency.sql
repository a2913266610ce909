-- Receipt-to-stored latency of the last minutes as DDSketch buckets. Parameters: stored_from, a whole minute.
-- Index: rollup_latency_minute_pkey.
SELECT bucket, sum(events)::bigint AS events FROM rollup_latency_minute WHERE bucket_start >= %(stored_from)s GROUP BY 1
