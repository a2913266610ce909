-- The events of one type of all clients, newest first: rollups tell which days, then which hours, then which minutes of
-- which clients have any. What they do not hold yet (migration 0008) is a span of its own, behind all days.
-- Parameters: as list_events_of_all.sql; event_type is given.
-- Index: the rollups' primary keys, as far as the page needs; then events_client_time for one client and minute. A day gives
--   no more than a page, nor does an hour: so the sorts, by time of span first, read span after span.
WITH compacted AS MATERIALIZED (SELECT compacted_until AS until FROM rollup_progress)
SELECT event_id, client_id, event_type, payload::text AS payload, occurred_at, received_at, stored_at,
       context::text AS context
FROM (
    SELECT bucket_start AS first, false AS is_new FROM rollup_events_day
    WHERE client_id = '' AND event_type = %(event_type)s
      AND bucket_start >= date_trunc('day', %(start)s::timestamptz, 'UTC') AND bucket_start < %(end)s
    UNION ALL
    SELECT until, true FROM compacted WHERE until < %(end)s
    ORDER BY first DESC
) AS days
CROSS JOIN LATERAL (
    SELECT of_hour.*
    FROM (
        SELECT bucket_start AS first, least(bucket_start + interval '1 hour', (SELECT until FROM compacted)) AS last
        FROM rollup_events_hour
        WHERE client_id = '' AND event_type = %(event_type)s AND NOT days.is_new
          AND bucket_start >= days.first AND bucket_start < days.first + interval '1 day' AND bucket_start < %(end)s
        UNION ALL
        SELECT days.first, %(end)s WHERE days.is_new
        ORDER BY first DESC
    ) AS hours
    CROSS JOIN LATERAL (
        SELECT e.*
        FROM rollup_events_minute AS m
        CROSS JOIN LATERAL (
            SELECT *
            FROM events AS e
            WHERE e.client_id = m.client_id AND e.occurred_at >= m.bucket_start
              AND e.occurred_at < m.bucket_start + interval '1 minute'
              AND e.occurred_at >= %(start)s AND e.occurred_at < %(end)s AND e.event_type = %(event_type)s
              AND (%(before_at)s::timestamptz IS NULL
                   OR (e.occurred_at, e.event_id, e.client_id) < (%(before_at)s, %(before_id)s, %(before_client)s))
              AND {conditions}
            OFFSET 0
        ) AS e
        WHERE m.event_type = %(event_type)s AND m.bucket_start >= hours.first AND m.bucket_start < hours.last
          AND m.bucket_start >= date_trunc('minute', %(start)s::timestamptz, 'UTC') AND m.bucket_start < %(end)s
        ORDER BY m.bucket_start DESC, e.occurred_at DESC, e.event_id DESC, e.client_id DESC
        LIMIT %(limit)s
    ) AS of_hour
    ORDER BY hours.first DESC, occurred_at DESC, event_id DESC, client_id DESC
    LIMIT %(limit)s
) AS newest
ORDER BY days.first DESC, occurred_at DESC, event_id DESC, client_id DESC
LIMIT %(limit)s
