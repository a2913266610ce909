-- All API keys, newest first, or one client's. Index: api_keys_client.
SELECT public_id, secret_hmac, client_id, name, scopes, rate_limit, is_active, expires_at, created_at, last_used_at
FROM api_keys WHERE %(client_id)s::text IS NULL OR client_id = %(client_id)s
ORDER BY created_at DESC, public_id
