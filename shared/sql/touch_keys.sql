-- Notes when keys were last used; never moves a time back.
UPDATE api_keys k SET last_used_at = u.at
FROM unnest(%(public_ids)s::text[], %(ats)s::timestamptz[]) AS u(public_id, at)
WHERE k.public_id = u.public_id AND (k.last_used_at IS NULL OR k.last_used_at < u.at)
