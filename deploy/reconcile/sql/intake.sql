-- What became of accepted events. Index: rollup_intake_minute_pkey.
SELECT (extract(epoch FROM bucket_start) / 60)::bigint, client_id, stored, duplicates, failed FROM rollup_intake_minute
WHERE bucket_start >= %(from_at)s AND bucket_start < %(to_at)s
  AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
