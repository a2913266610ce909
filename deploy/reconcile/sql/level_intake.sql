-- Coarser outcomes of accepted events that are not the sum of their minutes before compacted_until (migration 0008); the
-- numbers told are stored + duplicates + conflicting + failed.
-- Parameters, index: as level_events.sql.
WITH span AS (
    SELECT greatest(%(from_at)s::timestamptz, (SELECT at + interval '1 day' FROM maintenance WHERE task = 'rollups')) AS first,
           %(to_at)s::timestamptz AS last, (SELECT compacted_until FROM rollup_progress) AS until
), minutes AS (
    SELECT m.* FROM rollup_intake_minute AS m, span
    WHERE bucket_start >= span.first AND bucket_start < span.last AND bucket_start < span.until
), expected AS (
    SELECT level, date_trunc(level, bucket_start, 'UTC') AS bucket_start, client_id,
           ARRAY[sum(stored), sum(duplicates), sum(conflicting), sum(failed)] AS counts
    FROM minutes, (VALUES ('hour'), ('day')) AS levels (level)
    GROUP BY 1, 2, 3
), told AS (
    SELECT level, bucket_start, client_id, ARRAY[stored, duplicates, conflicting, failed]::numeric[] AS counts
    FROM span, LATERAL (
        SELECT 'hour' AS level, * FROM rollup_intake_hour UNION ALL SELECT 'day', * FROM rollup_intake_day
    ) AS coarser
    WHERE bucket_start >= span.first AND bucket_start < span.last
)
SELECT level, bucket_start, client_id,
       (SELECT coalesce(sum(n), 0)::bigint FROM unnest(expected.counts) AS n),
       (SELECT coalesce(sum(n), 0)::bigint FROM unnest(told.counts) AS n)
FROM expected FULL JOIN told USING (level, bucket_start, client_id)
WHERE expected.counts IS DISTINCT FROM told.counts
  AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
ORDER BY bucket_start, level, client_id
LIMIT %(most)s
