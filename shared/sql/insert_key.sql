-- A new API key.
INSERT INTO api_keys (public_id, secret_hmac, client_id, name, scopes, rate_limit, expires_at)
VALUES (%(public_id)s, %(secret_hmac)s, %(client_id)s, %(name)s, %(scopes)s, %(rate_limit)s, %(expires_at)s)
RETURNING public_id, secret_hmac, client_id, name, scopes, rate_limit, is_active, expires_at, created_at, last_used_at
