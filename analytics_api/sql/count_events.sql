-- Events by type, client and bucket: whole minutes from the rollup, the rest of the range from the events themselves.
-- Parameters: whole_start, whole_end; head_start, head_end, tail_start, tail_end, each pair inside one minute, empty when
--   equal; client_id or NULL; event_type or NULL; by_type, by_client, whether to group; starts, the first moments of the
--   buckets, ascending, the first not behind the range; row_limit.
-- Index: rollup_events_minute_pkey; for the edges it names the clients of that minute, then events_client_time of one day
--   for each of them: OFFSET 0 keeps it from being a join that reads the whole day.
WITH parts AS (
    SELECT event_type, client_id, bucket_start AS at, events
    FROM rollup_events_minute
    WHERE bucket_start >= %(whole_start)s AND bucket_start < %(whole_end)s
      AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
      AND (%(event_type)s::text IS NULL OR event_type = %(event_type)s)
    UNION ALL
    SELECT head.event_type, head.client_id, head.occurred_at, 1
    FROM (SELECT DISTINCT client_id
          FROM rollup_events_minute
          WHERE bucket_start = date_trunc('minute', %(head_start)s::timestamptz)
            AND %(head_start)s::timestamptz < %(head_end)s::timestamptz
            AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)) AS present
    CROSS JOIN LATERAL (
        SELECT e.event_type, e.client_id, e.occurred_at
        FROM events AS e
        WHERE e.client_id = present.client_id AND e.occurred_at >= %(head_start)s AND e.occurred_at < %(head_end)s
          AND (%(event_type)s::text IS NULL OR e.event_type = %(event_type)s)
        OFFSET 0) AS head
    UNION ALL
    SELECT tail.event_type, tail.client_id, tail.occurred_at, 1
    FROM (SELECT DISTINCT client_id
          FROM rollup_events_minute
          WHERE bucket_start = date_trunc('minute', %(tail_start)s::timestamptz)
            AND %(tail_start)s::timestamptz < %(tail_end)s::timestamptz
            AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)) AS present
    CROSS JOIN LATERAL (
        SELECT e.event_type, e.client_id, e.occurred_at
        FROM events AS e
        WHERE e.client_id = present.client_id AND e.occurred_at >= %(tail_start)s AND e.occurred_at < %(tail_end)s
          AND (%(event_type)s::text IS NULL OR e.event_type = %(event_type)s)
        OFFSET 0) AS tail
)
SELECT CASE WHEN %(by_type)s THEN event_type END AS event_type,
       CASE WHEN %(by_client)s THEN client_id END AS client_id,
       width_bucket(at, %(starts)s::timestamptz[]) - 1 AS bucket,
       sum(events)::bigint AS count
FROM parts
GROUP BY 1, 2, 3
LIMIT %(row_limit)s
