-- Replaces the hashes of keys whose rows still hold the hash that was proved: a rotation in between wins.
UPDATE api_keys k SET secret_hmac = u.after
FROM unnest(%(public_ids)s::text[], %(befores)s::bytea[], %(afters)s::bytea[]) AS u(public_id, before, after)
WHERE k.public_id = u.public_id AND k.secret_hmac = u.before
