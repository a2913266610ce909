-- Events of a client that were stored, found to be duplicates, or failed, and were received since a time.
-- Cheap enough to ask several times a second. Parameters: client_id, since. Index: rollup_intake_minute_pkey.
SELECT coalesce(sum(stored + duplicates + failed), 0)::bigint FROM rollup_intake_minute
WHERE bucket_start >= date_trunc('minute', %(since)s::timestamptz) AND client_id = %(client_id)s
