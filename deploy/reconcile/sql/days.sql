-- Rows, ids and rollup of each client and day of occurred_at that still has its partition, and always had it: three
-- recounts of one number. The rollup of a day that was dropped stays, also when a late event brings the day back.
-- Reads events and event_ids whole, but for the days outside of the range. Index: none.
WITH rows AS (
    SELECT client_id, (occurred_at AT TIME ZONE 'UTC')::date AS day, count(*) AS n FROM events
    WHERE occurred_at >= %(from_day)s AND occurred_at < %(to_day)s GROUP BY 1, 2
), ids AS (
    SELECT client_id, (occurred_at AT TIME ZONE 'UTC')::date AS day, count(*) AS n FROM event_ids
    WHERE occurred_at >= %(from_day)s AND occurred_at < %(to_day)s GROUP BY 1, 2
), rollup AS (
    SELECT client_id, (bucket_start AT TIME ZONE 'UTC')::date AS day, sum(events)::bigint AS n FROM rollup_events_minute
    WHERE bucket_start >= %(from_day)s AND bucket_start < %(to_day)s GROUP BY 1, 2
)
SELECT client_id, day, rows, ids, rolled FROM (
    SELECT client_id, day, coalesce(rows.n, 0) AS rows, coalesce(ids.n, 0) AS ids, coalesce(rollup.n, 0) AS rolled
    FROM rows FULL JOIN ids USING (client_id, day) FULL JOIN rollup USING (client_id, day)
) AS days
WHERE to_regclass('events_' || to_char(day, 'YYYYMMDD')) IS NOT NULL
  AND NOT EXISTS (SELECT FROM dropped_days d WHERE d.parent = 'events' AND d.day = days.day)
  AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
ORDER BY day, client_id
