-- Changes the given columns of one key; a flag beside each says whether it is given, so NULL can be set.
UPDATE api_keys SET
    is_active  = CASE WHEN %(set_is_active)s THEN %(is_active)s ELSE is_active END,
    rate_limit = CASE WHEN %(set_rate_limit)s THEN %(rate_limit)s::int ELSE rate_limit END,
    name       = CASE WHEN %(set_name)s THEN %(name)s ELSE name END,
    expires_at = CASE WHEN %(set_expires_at)s THEN %(expires_at)s::timestamptz ELSE expires_at END
WHERE public_id = %(public_id)s
RETURNING public_id, secret_hmac, client_id, name, scopes, rate_limit, is_active, expires_at, created_at, last_used_at
