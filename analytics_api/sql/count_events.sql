-- Events by type, client and bucket: whole minutes from the rollup, the rest of the range from the events themselves.
-- Parameters: whole_start, whole_end; head_start, head_end, tail_start, tail_end, each pair inside one minute, empty when
--   equal; client_id or NULL; event_type or NULL; by_type, by_client, whether to group; starts, the first moments of the
--   buckets, ascending, the first not behind the range; row_limit.
-- Index: rollup_events_minute_pkey; for the edges it names the clients of that minute, then events_client_time.
WITH parts AS (
    SELECT event_type, client_id, bucket_start AS at, events
    FROM rollup_events_minute
    WHERE bucket_start >= %(whole_start)s AND bucket_start < %(whole_end)s
      AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
      AND (%(event_type)s::text IS NULL OR event_type = %(event_type)s)
    UNION ALL
    SELECT e.event_type, e.client_id, e.occurred_at, 1
    FROM (VALUES (%(head_start)s::timestamptz, %(head_end)s::timestamptz),
                 (%(tail_start)s::timestamptz, %(tail_end)s::timestamptz)) AS edge (edge_start, edge_end)
    CROSS JOIN LATERAL (
        SELECT DISTINCT client_id
        FROM rollup_events_minute
        WHERE bucket_start = date_trunc('minute', edge_start) AND edge_start < edge_end
          AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
    ) AS present
    JOIN events AS e ON e.client_id = present.client_id AND e.occurred_at >= edge_start AND e.occurred_at < edge_end
    WHERE (%(event_type)s::text IS NULL OR e.event_type = %(event_type)s)
)
SELECT CASE WHEN %(by_type)s THEN event_type END AS event_type,
       CASE WHEN %(by_client)s THEN client_id END AS client_id,
       width_bucket(at, %(starts)s::timestamptz[]) - 1 AS bucket,
       sum(events)::bigint AS count
FROM parts
GROUP BY 1, 2, 3
LIMIT %(row_limit)s
