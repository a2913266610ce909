-- What became of the events received in each bucket of time; failed_events tells how often the failed were tried again.
-- Parameters: client_id or NULL; starts, the first moments of the buckets, ascending, and last, the end of the last one;
--   one_bucket; day_starts, day_ends, …, the spans at each level, whole_… all of them.
-- Index: the primary keys; failed_events_time. Coarser rollups hold what lies before compacted_until.
WITH compacted AS MATERIALIZED (SELECT compacted_until AS until FROM rollup_progress),
parts AS (
    SELECT d.*
    FROM unnest(%(day_starts)s::timestamptz[], %(day_ends)s::timestamptz[]) AS s (first, last)
    CROSS JOIN LATERAL (
        SELECT bucket_start AS at, stored, duplicates, conflicting, failed, 0 AS retried FROM rollup_intake_day
        WHERE bucket_start >= s.first AND bucket_start < s.last
          AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
        OFFSET 0) AS d
    UNION ALL
    SELECT h.*
    FROM unnest(%(hour_starts)s::timestamptz[], %(hour_ends)s::timestamptz[]) AS s (first, last)
    CROSS JOIN LATERAL (
        SELECT bucket_start AS at, stored, duplicates, conflicting, failed, 0 AS retried FROM rollup_intake_hour
        WHERE bucket_start >= s.first AND bucket_start < s.last
          AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
        OFFSET 0) AS h
    UNION ALL
    SELECT m.*
    FROM compacted CROSS JOIN unnest(%(minute_starts)s::timestamptz[], %(minute_ends)s::timestamptz[]) AS s (first, last)
    CROSS JOIN LATERAL (
        SELECT bucket_start AS at, stored, duplicates, conflicting, failed, 0 AS retried FROM rollup_intake_minute
        WHERE bucket_start >= s.first AND bucket_start < least(s.last, compacted.until)
          AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
        OFFSET 0) AS m
    UNION ALL
    SELECT m.*
    FROM compacted CROSS JOIN unnest(%(whole_starts)s::timestamptz[], %(whole_ends)s::timestamptz[]) AS s (first, last)
    CROSS JOIN LATERAL (
        SELECT bucket_start AS at, stored, duplicates, conflicting, failed, 0 AS retried FROM rollup_intake_minute
        WHERE bucket_start >= greatest(s.first, compacted.until) AND bucket_start < s.last
          AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
        OFFSET 0) AS m
    UNION ALL
    SELECT last_failed_at, 0, 0, 0, 0, attempts - 1 FROM failed_events
    WHERE last_failed_at >= (%(starts)s::timestamptz[])[1] AND last_failed_at < %(last)s
      AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
)
SELECT CASE WHEN %(one_bucket)s THEN 0 ELSE width_bucket(at, %(starts)s::timestamptz[]) - 1 END AS place,
       sum(stored)::bigint AS stored, sum(duplicates)::bigint AS duplicates, sum(conflicting)::bigint AS conflicting,
       sum(failed)::bigint AS failed, sum(retried)::bigint AS retried
FROM parts
GROUP BY 1
