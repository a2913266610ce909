-- What became of the events received in a range.
-- Parameters: start, end, whole minutes; client_id or NULL.
-- Index: rollup_intake_minute_pkey; failed_events_time.
SELECT coalesce(sum(stored), 0)::bigint AS stored, coalesce(sum(duplicates), 0)::bigint AS duplicates,
       coalesce(sum(conflicting), 0)::bigint AS conflicting, coalesce(sum(failed), 0)::bigint AS failed,
       (SELECT coalesce(sum(attempts - 1), 0)::bigint FROM failed_events
        WHERE last_failed_at >= %(start)s AND last_failed_at < %(end)s
          AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)) AS retried
FROM rollup_intake_minute
WHERE bucket_start >= %(start)s AND bucket_start < %(end)s
  AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
