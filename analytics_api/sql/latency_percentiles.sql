-- Receipt-to-stored latency by bucket of time, and by type on request: counts, and the DDSketch buckets in which the
-- percentiles lie; stored_at counts. event_type NULL is all types, place NULL the whole range.
-- Parameters: client_id or NULL; by_type; starts, the first moments of the buckets, ascending; one_bucket, whether there is
--   but one; day_starts, day_ends, …, the spans at each level, whole_… all of them;
--   row_limit.
-- Index: the primary keys, and …_all_types; '' stands for all clients, and for all types. Coarser rollups hold what lies before
--   compacted_until; minute rows are read from there on. A client's types have no hours: minutes take their place in the spans.
--   OFFSET 0 keeps a span a walk through an index, and a client's minutes a look at each.
WITH compacted AS MATERIALIZED (SELECT compacted_until AS until FROM rollup_progress),
wanted AS MATERIALIZED (
    SELECT coalesce(%(client_id)s::text, '') COLLATE "C" AS client_id
), parts AS (
    SELECT d.*
    FROM wanted CROSS JOIN unnest(%(day_starts)s::timestamptz[], %(day_ends)s::timestamptz[]) AS s (first, last)
    CROSS JOIN LATERAL (
        SELECT event_type, bucket_start AS at, bucket, events FROM rollup_latency_day AS r
        WHERE r.client_id = wanted.client_id AND bucket_start >= s.first AND bucket_start < s.last
          AND (%(by_type)s OR event_type = '') AND (NOT %(by_type)s OR event_type <> '')
        OFFSET 0) AS d
    UNION ALL
    SELECT h.*
    FROM wanted CROSS JOIN unnest(%(hour_starts)s::timestamptz[], %(hour_ends)s::timestamptz[]) AS s (first, last)
    CROSS JOIN LATERAL (
        SELECT event_type, bucket_start AS at, bucket, events FROM rollup_latency_hour AS r
        WHERE r.client_id = wanted.client_id AND bucket_start >= s.first AND bucket_start < s.last
          AND (%(by_type)s OR event_type = '') AND (NOT %(by_type)s OR event_type <> '')
        OFFSET 0) AS h
    UNION ALL
    SELECT m.*
    FROM unnest(%(minute_starts)s::timestamptz[], %(minute_ends)s::timestamptz[]) AS s (first, last)
    CROSS JOIN LATERAL (
        SELECT event_type, bucket_start AS at, bucket, events FROM rollup_latency_minute_sums AS r
        WHERE r.client_id = '' AND bucket_start >= s.first AND bucket_start < s.last
        OFFSET 0) AS m
    WHERE %(client_id)s::text IS NULL AND NOT %(by_type)s
    UNION ALL
    SELECT m.*
    FROM compacted CROSS JOIN unnest(%(minute_starts)s::timestamptz[], %(minute_ends)s::timestamptz[]) AS s (first, last)
    CROSS JOIN LATERAL (
        SELECT event_type, bucket_start AS at, bucket, events FROM rollup_latency_minute
        WHERE bucket_start >= s.first AND bucket_start < least(s.last, compacted.until)
        OFFSET 0) AS m
    WHERE %(client_id)s::text IS NULL AND %(by_type)s
    UNION ALL
    SELECT m.*
    FROM compacted CROSS JOIN unnest(%(minute_starts)s::timestamptz[], %(minute_ends)s::timestamptz[]) AS s (first, last)
    CROSS JOIN LATERAL generate_series(s.first, least(s.last, compacted.until) - interval '1 minute', '1 minute') AS minute
    CROSS JOIN LATERAL (
        SELECT event_type, bucket_start AS at, bucket, events FROM rollup_latency_minute
        WHERE bucket_start = minute AND client_id = %(client_id)s
        OFFSET 0) AS m
    WHERE %(client_id)s::text IS NOT NULL
    UNION ALL
    SELECT m.*
    FROM compacted CROSS JOIN unnest(%(whole_starts)s::timestamptz[], %(whole_ends)s::timestamptz[]) AS s (first, last)
    CROSS JOIN LATERAL (
        SELECT event_type, bucket_start AS at, bucket, events FROM rollup_latency_minute
        WHERE bucket_start >= greatest(s.first, compacted.until) AND bucket_start < s.last
          AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
        OFFSET 0) AS m
), placed AS (
    SELECT event_type, CASE WHEN %(one_bucket)s THEN 0 ELSE width_bucket(at, %(starts)s::timestamptz[]) - 1 END AS place,
           bucket, events
    FROM parts
), histograms AS (
    SELECT NULL AS event_type, NULL::int AS place, bucket, sum(events)::bigint AS events FROM placed GROUP BY bucket
    UNION ALL
    SELECT NULL, place, bucket, sum(events)::bigint FROM placed WHERE NOT %(one_bucket)s GROUP BY place, bucket
    UNION ALL
    SELECT event_type, NULL, bucket, sum(events)::bigint FROM placed WHERE %(by_type)s GROUP BY event_type, bucket
    UNION ALL
    SELECT event_type, place, bucket, sum(events)::bigint FROM placed WHERE %(by_type)s AND NOT %(one_bucket)s
    GROUP BY event_type, place, bucket
), summed AS (
    SELECT event_type, place, bucket,
           sum(events) OVER (PARTITION BY event_type, place ORDER BY bucket) AS seen,
           sum(events) OVER (PARTITION BY event_type, place) AS count
    FROM histograms
)
SELECT event_type, place, max(count)::bigint AS count,
       min(bucket) FILTER (WHERE seen > 0.50 * (count - 1)) AS p50,
       min(bucket) FILTER (WHERE seen > 0.95 * (count - 1)) AS p95,
       min(bucket) FILTER (WHERE seen > 0.99 * (count - 1)) AS p99
FROM summed
GROUP BY event_type, place
LIMIT %(row_limit)s
