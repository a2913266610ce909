-- One API key by its public id. Index: api_keys_pkey.
SELECT public_id, secret_hmac, client_id, name, scopes, rate_limit, is_active, expires_at, created_at, last_used_at
FROM api_keys WHERE public_id = %(public_id)s
