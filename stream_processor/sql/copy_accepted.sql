-- Copies accepted counts, absolute values, so a repeat changes nothing; the greater one wins, for Redis begins anew after it
-- lost its data. Index: rollup_accepted_minute_pkey.
INSERT INTO rollup_accepted_minute AS r (bucket_start, client_id, shard, accepted)
SELECT to_timestamp(minute * 60), client_id, %(shard)s, accepted
FROM unnest(%(minutes)s::bigint[], %(client_ids)s::text[], %(accepted)s::bigint[]) AS i(minute, client_id, accepted)
ON CONFLICT (bucket_start, client_id, shard) DO UPDATE SET accepted = greatest(r.accepted, excluded.accepted)
