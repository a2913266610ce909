-- Adds to what became of accepted events, by minute of receipt, in key order. Index: rollup_intake_minute_pkey.
INSERT INTO rollup_intake_minute AS r (bucket_start, client_id, stored, duplicates, conflicting, failed)
SELECT to_timestamp(minute_us / 1e6), client_id, stored, duplicates, conflicting, failed
FROM unnest(%(minutes)s::bigint[], %(client_ids)s::text[], %(stored)s::bigint[], %(duplicates)s::bigint[],
            %(conflicting)s::bigint[], %(failed)s::bigint[])
    AS i(minute_us, client_id, stored, duplicates, conflicting, failed)
ORDER BY minute_us, client_id COLLATE "C"
ON CONFLICT (bucket_start, client_id) DO UPDATE SET
    stored = r.stored + excluded.stored, duplicates = r.duplicates + excluded.duplicates,
    conflicting = r.conflicting + excluded.conflicting, failed = r.failed + excluded.failed
