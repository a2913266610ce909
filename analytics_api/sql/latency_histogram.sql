-- Receipt-to-stored latency as DDSketch buckets, summed over a range; stored_at counts.
-- Parameters: start, end, whole minutes; client_id or NULL; by_type, whether a histogram each is wanted.
-- Index: rollup_latency_minute_pkey.
SELECT CASE WHEN %(by_type)s THEN event_type END AS event_type, bucket, sum(events)::bigint AS events
FROM rollup_latency_minute
WHERE bucket_start >= %(start)s AND bucket_start < %(end)s
  AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
GROUP BY 1, 2
ORDER BY 1, 2
