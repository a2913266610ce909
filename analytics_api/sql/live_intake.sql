-- Accepted events that were not stored, by minute of receipt; over all clients, and for each one named.
-- Parameters: as live_stored.sql.
-- Index: rollup_intake_minute_pkey, the last minutes of it.
SELECT bucket_start, NULL::text AS client_id, sum(duplicates)::bigint AS duplicate, sum(failed)::bigint AS failed
FROM rollup_intake_minute
WHERE bucket_start >= %(start)s AND %(everybody)s
GROUP BY bucket_start
UNION ALL
SELECT bucket_start, client_id, duplicates, failed
FROM rollup_intake_minute
WHERE bucket_start >= %(start)s AND client_id = ANY (%(clients)s::text[])
