-- Replaces a key's secret.
UPDATE api_keys SET secret_hmac = %(secret_hmac)s WHERE public_id = %(public_id)s
RETURNING public_id, secret_hmac, client_id, name, scopes, rate_limit, is_active, expires_at, created_at, last_used_at
