-- Events by type, client and bucket: each part of the range from the coarsest rollup that fits, the parts of minutes from
-- the events themselves. In one statement, so in one snapshot: coarser rollups hold what lies before compacted_until, and
-- minute rows are read from there on (migration 0008).
-- Parameters: client_id or NULL; event_type or NULL; type_key, the coarser rows' one type, '' for all
--   together, NULL for each; by_type, by_client, whether to group; starts, the first moments of the
--   buckets, ascending, the first not behind the range; one_bucket, whether there is but one; day_starts and day_ends, and
--   so on, the spans at each level, whole_… all of them; edge1_start, edge1_end, …, each pair inside one minute, empty when
--   equal; top, how many groups to keep apart, or NULL; ranked_from, the first bucket that ranks them; row_limit.
-- Index: the primary keys, and …_all_types. '' stands for all clients, and for all types; when grouped by client, clients are walked from one
--   to the next. OFFSET 0 keeps a span a walk through an index, a client's minutes a look at each, and an edge a look at one
--   client's part of a day: of the clients of that minute.
WITH RECURSIVE compacted AS MATERIALIZED (SELECT compacted_until AS until FROM rollup_progress),
clients AS MATERIALIZED (
    SELECT CASE WHEN %(client_id)s::text IS NULL AND %(by_client)s
                THEN (SELECT min(d.client_id) FROM rollup_events_day AS d WHERE d.client_id > '')
                ELSE coalesce(%(client_id)s::text, '') COLLATE "C" END AS client_id
    UNION ALL
    SELECT (SELECT min(d.client_id) FROM rollup_events_day AS d WHERE d.client_id > clients.client_id)
    FROM clients WHERE %(client_id)s::text IS NULL AND %(by_client)s AND clients.client_id IS NOT NULL
), parts AS (
    SELECT d.event_type, d.client_id, d.at, d.events
    FROM clients CROSS JOIN unnest(%(day_starts)s::timestamptz[], %(day_ends)s::timestamptz[]) AS s (first, last)
    CROSS JOIN LATERAL (
        SELECT event_type, r.client_id, bucket_start AS at, events FROM rollup_events_day AS r
        WHERE r.client_id = clients.client_id AND bucket_start >= s.first AND bucket_start < s.last
          AND (%(type_key)s::text IS NULL OR event_type = %(type_key)s) AND (%(type_key)s::text IS NOT NULL OR event_type <> '')
        OFFSET 0) AS d
    UNION ALL
    SELECT h.event_type, h.client_id, h.at, h.events
    FROM clients CROSS JOIN unnest(%(hour_starts)s::timestamptz[], %(hour_ends)s::timestamptz[]) AS s (first, last)
    CROSS JOIN LATERAL (
        SELECT event_type, r.client_id, bucket_start AS at, events FROM rollup_events_hour AS r
        WHERE r.client_id = clients.client_id AND bucket_start >= s.first AND bucket_start < s.last
          AND (%(type_key)s::text IS NULL OR event_type = %(type_key)s) AND (%(type_key)s::text IS NOT NULL OR event_type <> '')
        OFFSET 0) AS h
    UNION ALL
    SELECT m.event_type, NULL, m.at, m.events
    FROM unnest(%(minute_starts)s::timestamptz[], %(minute_ends)s::timestamptz[]) AS s (first, last)
    CROSS JOIN LATERAL (
        SELECT event_type, bucket_start AS at, events FROM rollup_events_minute_sums
        WHERE client_id = '' AND bucket_start >= s.first AND bucket_start < s.last
          AND (%(event_type)s::text IS NULL OR event_type = %(event_type)s)
        OFFSET 0) AS m
    WHERE %(client_id)s::text IS NULL AND NOT %(by_client)s
    UNION ALL
    SELECT m.event_type, m.client_id, m.at, m.events
    FROM compacted CROSS JOIN unnest(%(minute_starts)s::timestamptz[], %(minute_ends)s::timestamptz[]) AS s (first, last)
    CROSS JOIN LATERAL generate_series(s.first, least(s.last, compacted.until) - interval '1 minute', '1 minute') AS minute
    CROSS JOIN LATERAL (
        SELECT event_type, client_id, bucket_start AS at, events FROM rollup_events_minute
        WHERE bucket_start = minute AND client_id = %(client_id)s
          AND (%(event_type)s::text IS NULL OR event_type = %(event_type)s)
        OFFSET 0) AS m
    WHERE %(client_id)s::text IS NOT NULL
    UNION ALL
    SELECT m.event_type, m.client_id, m.at, m.events
    FROM compacted CROSS JOIN unnest(%(minute_starts)s::timestamptz[], %(minute_ends)s::timestamptz[]) AS s (first, last)
    CROSS JOIN LATERAL (
        SELECT event_type, client_id, bucket_start AS at, events FROM rollup_events_minute
        WHERE bucket_start >= s.first AND bucket_start < least(s.last, compacted.until)
          AND (%(event_type)s::text IS NULL OR event_type = %(event_type)s)
        OFFSET 0) AS m
    WHERE %(client_id)s::text IS NULL AND %(by_client)s
    UNION ALL
    SELECT m.event_type, m.client_id, m.at, m.events
    FROM compacted CROSS JOIN unnest(%(whole_starts)s::timestamptz[], %(whole_ends)s::timestamptz[]) AS s (first, last)
    CROSS JOIN LATERAL (
        SELECT event_type, client_id, bucket_start AS at, events FROM rollup_events_minute
        WHERE bucket_start >= greatest(s.first, compacted.until) AND bucket_start < s.last
          AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
          AND (%(event_type)s::text IS NULL OR event_type = %(event_type)s)
        OFFSET 0) AS m
    UNION ALL
    SELECT e.event_type, e.client_id, e.occurred_at, 1
    FROM (SELECT DISTINCT client_id
          FROM rollup_events_minute
          WHERE bucket_start = date_trunc('minute', %(edge1_start)s::timestamptz, 'UTC')
            AND %(edge1_start)s::timestamptz < %(edge1_end)s::timestamptz
            AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)) AS present
    CROSS JOIN LATERAL (
        SELECT event_type, e.client_id, occurred_at FROM events AS e
        WHERE e.client_id = present.client_id AND occurred_at >= %(edge1_start)s AND occurred_at < %(edge1_end)s
          AND (%(event_type)s::text IS NULL OR event_type = %(event_type)s)
        OFFSET 0) AS e
    UNION ALL
    SELECT e.event_type, e.client_id, e.occurred_at, 1
    FROM (SELECT DISTINCT client_id
          FROM rollup_events_minute
          WHERE bucket_start = date_trunc('minute', %(edge2_start)s::timestamptz, 'UTC')
            AND %(edge2_start)s::timestamptz < %(edge2_end)s::timestamptz
            AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)) AS present
    CROSS JOIN LATERAL (
        SELECT event_type, e.client_id, occurred_at FROM events AS e
        WHERE e.client_id = present.client_id AND occurred_at >= %(edge2_start)s AND occurred_at < %(edge2_end)s
          AND (%(event_type)s::text IS NULL OR event_type = %(event_type)s)
        OFFSET 0) AS e
    UNION ALL
    SELECT e.event_type, e.client_id, e.occurred_at, 1
    FROM (SELECT DISTINCT client_id
          FROM rollup_events_minute
          WHERE bucket_start = date_trunc('minute', %(edge3_start)s::timestamptz, 'UTC')
            AND %(edge3_start)s::timestamptz < %(edge3_end)s::timestamptz
            AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)) AS present
    CROSS JOIN LATERAL (
        SELECT event_type, e.client_id, occurred_at FROM events AS e
        WHERE e.client_id = present.client_id AND occurred_at >= %(edge3_start)s AND occurred_at < %(edge3_end)s
          AND (%(event_type)s::text IS NULL OR event_type = %(event_type)s)
        OFFSET 0) AS e
), counted AS (
    SELECT CASE WHEN %(by_type)s THEN event_type END AS event_type,
           CASE WHEN %(by_client)s THEN client_id END AS client_id,
           CASE WHEN %(one_bucket)s THEN 0 ELSE width_bucket(at, %(starts)s::timestamptz[]) - 1 END AS bucket,
           sum(events)::bigint AS count
    FROM parts
    GROUP BY 1, 2, 3
), ranked AS (
    SELECT event_type, client_id, row_number() OVER (
               ORDER BY sum(count) FILTER (WHERE bucket >= %(ranked_from)s) DESC NULLS LAST, sum(count) DESC,
                        event_type COLLATE "C", client_id COLLATE "C") <= %(top)s::int AS is_top
    FROM counted WHERE %(top)s::int IS NOT NULL GROUP BY event_type, client_id
)
SELECT event_type, client_id, 0 AS rest_of, bucket, count FROM counted WHERE %(top)s::int IS NULL
UNION ALL
SELECT CASE WHEN is_top THEN c.event_type END, CASE WHEN is_top THEN c.client_id END,
       CASE WHEN is_top THEN 0 ELSE (SELECT count(*) FROM ranked WHERE NOT is_top) END, bucket, sum(count)::bigint
FROM counted AS c
JOIN ranked AS r ON coalesce(c.event_type, '') = coalesce(r.event_type, '')
    AND coalesce(c.client_id, '') = coalesce(r.client_id, '')
WHERE %(top)s::int IS NOT NULL
GROUP BY 1, 2, 3, 4
LIMIT %(row_limit)s
