-- Events stored, by minute of storage: by type, and by latency bucket; over all clients, and for each one named.
-- Parameters: start, a whole minute; everybody, whether the sums over all clients are wanted; clients, those named.
-- Index: rollup_latency_minute_pkey, the last minutes of it.
SELECT bucket_start, NULL::text AS client_id, event_type, bucket, sum(events)::bigint AS events
FROM rollup_latency_minute
WHERE bucket_start >= %(start)s AND %(everybody)s
GROUP BY GROUPING SETS ((bucket_start, event_type), (bucket_start, bucket))
UNION ALL
SELECT bucket_start, client_id, event_type, bucket, sum(events)::bigint
FROM rollup_latency_minute
WHERE bucket_start >= %(start)s AND client_id = ANY (%(clients)s::text[])
GROUP BY GROUPING SETS ((bucket_start, client_id, event_type), (bucket_start, client_id, bucket))
