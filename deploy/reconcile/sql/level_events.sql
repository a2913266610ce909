-- Coarser rows of stored events that are not the sum of their minutes before compacted_until (migration 0008): by minute
-- over all clients, by hour and by day. '' is all clients, or all types. Days before retention's mark are not looked at.
-- Parameters: from_at and to_at, whole days; client_id or NULL; most. Index: none, the rollups of the range are read whole.
WITH span AS (
    SELECT greatest(%(from_at)s::timestamptz, (SELECT at + interval '1 day' FROM maintenance WHERE task = 'rollups')) AS first,
           %(to_at)s::timestamptz AS last, (SELECT compacted_until FROM rollup_progress) AS until
), minutes AS (
    SELECT m.*, date_trunc('hour', bucket_start, 'UTC') AS hour, date_trunc('day', bucket_start, 'UTC') AS day
    FROM rollup_events_minute AS m, span
    WHERE bucket_start >= span.first AND bucket_start < span.last AND bucket_start < span.until
), expected AS (
    SELECT 'minute' AS level, bucket_start, '' AS client_id, event_type, sum(events) AS events, sum(bytes) AS bytes
    FROM minutes GROUP BY bucket_start, event_type
    UNION ALL
    SELECT 'hour', hour, coalesce(client_id, ''), coalesce(event_type, ''), sum(events), sum(bytes) FROM minutes
    GROUP BY GROUPING SETS ((hour), (client_id, hour), (hour, event_type), (client_id, hour, event_type))
    UNION ALL
    SELECT 'day', day, coalesce(client_id, ''), coalesce(event_type, ''), sum(events), sum(bytes) FROM minutes
    GROUP BY GROUPING SETS ((day), (client_id, day), (day, event_type), (client_id, day, event_type))
), told AS (
    SELECT level, bucket_start, client_id, event_type, events, bytes
    FROM span, LATERAL (
        SELECT 'minute' AS level, * FROM rollup_events_minute_sums
        UNION ALL SELECT 'hour', * FROM rollup_events_hour
        UNION ALL SELECT 'day', * FROM rollup_events_day
    ) AS coarser
    WHERE bucket_start >= span.first AND bucket_start < span.last
)
SELECT level, bucket_start, client_id, coalesce(expected.events, 0)::bigint, coalesce(told.events, 0)::bigint
FROM expected FULL JOIN told USING (level, bucket_start, client_id, event_type)
WHERE (expected.events, expected.bytes) IS DISTINCT FROM (told.events::numeric, told.bytes::numeric)
  AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
ORDER BY bucket_start, level, client_id, event_type
LIMIT %(most)s
