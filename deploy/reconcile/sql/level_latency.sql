-- Coarser latency histograms that are not the sum of their minutes before compacted_until (migration 0008).
-- Parameters, index: as level_events.sql.
WITH span AS (
    SELECT greatest(%(from_at)s::timestamptz, (SELECT at + interval '1 day' FROM maintenance WHERE task = 'rollups')) AS first,
           %(to_at)s::timestamptz AS last, (SELECT compacted_until FROM rollup_progress) AS until
), minutes AS (
    SELECT m.*, date_trunc('hour', bucket_start, 'UTC') AS hour, date_trunc('day', bucket_start, 'UTC') AS day
    FROM rollup_latency_minute AS m, span
    WHERE bucket_start >= span.first AND bucket_start < span.last AND bucket_start < span.until
), expected AS (
    SELECT 'minute' AS level, bucket_start, '' AS client_id, '' AS event_type, bucket, sum(events) AS events
    FROM minutes GROUP BY bucket_start, bucket
    UNION ALL
    SELECT 'hour', hour, coalesce(client_id, ''), coalesce(event_type, ''), bucket, sum(events) FROM minutes
    GROUP BY GROUPING SETS ((hour, bucket), (client_id, hour, bucket), (hour, event_type, bucket))
    UNION ALL
    SELECT 'day', day, coalesce(client_id, ''), coalesce(event_type, ''), bucket, sum(events) FROM minutes
    GROUP BY GROUPING SETS ((day, bucket), (client_id, day, bucket), (day, event_type, bucket),
                            (client_id, day, event_type, bucket))
), told AS (
    SELECT level, bucket_start, client_id, event_type, bucket, events
    FROM span, LATERAL (
        SELECT 'minute' AS level, * FROM rollup_latency_minute_sums
        UNION ALL SELECT 'hour', * FROM rollup_latency_hour
        UNION ALL SELECT 'day', * FROM rollup_latency_day
    ) AS coarser
    WHERE bucket_start >= span.first AND bucket_start < span.last
)
SELECT level, bucket_start, client_id, coalesce(expected.events, 0)::bigint, coalesce(told.events, 0)::bigint
FROM expected FULL JOIN told USING (level, bucket_start, client_id, event_type, bucket)
WHERE expected.events IS DISTINCT FROM told.events::numeric
  AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
ORDER BY bucket_start, level, client_id, event_type, bucket
LIMIT %(most)s
