-- Minutes and types of a day whose rollup is not what a recount of the rows gives; bytes are of the payload as sent and
-- cannot be recounted. Index: none, a day's partition is read.
WITH recount AS (
    SELECT date_trunc('minute', occurred_at, 'UTC') AS bucket_start, client_id, event_type, count(*) AS n FROM events
    WHERE occurred_at >= %(from_at)s AND occurred_at < %(to_at)s GROUP BY 1, 2, 3
), rollup AS (
    SELECT bucket_start, client_id, event_type, events AS n FROM rollup_events_minute
    WHERE bucket_start >= %(from_at)s AND bucket_start < %(to_at)s
)
SELECT bucket_start, client_id, event_type, coalesce(recount.n, 0), coalesce(rollup.n, 0)
FROM recount FULL JOIN rollup USING (bucket_start, client_id, event_type)
WHERE coalesce(recount.n, 0) <> coalesce(rollup.n, 0)
  AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
ORDER BY 1, 2, 3
