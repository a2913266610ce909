-- Calls, newest first.
-- Parameters: start, end; client_id, endpoint, method, status, service, request_id or NULL each; only_failed; before_at
--   and before_id, the last row of the page before, or NULL; limit.
-- Index: audit_logs_client_time with client_id, audit_logs_time without; backwards, a day's partition after another.
SELECT at, id, service, instance, client_id, key_id, method, endpoint, path, query, status, error,
       duration_us / 1000.0::float8 AS duration_ms, bytes_in, address, user_agent, request_id
FROM audit_logs
WHERE at >= %(start)s AND at < %(end)s
  AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
  AND (%(endpoint)s::text IS NULL OR endpoint = %(endpoint)s)
  AND (%(method)s::text IS NULL OR method = %(method)s)
  AND (%(status)s::int IS NULL OR status = %(status)s)
  AND (%(service)s::text IS NULL OR service = %(service)s)
  AND (%(request_id)s::text IS NULL OR request_id = %(request_id)s)
  AND (NOT %(only_failed)s OR status >= 400)
  AND (%(before_at)s::timestamptz IS NULL OR (at, id) < (%(before_at)s, %(before_id)s))
ORDER BY at DESC, id DESC
LIMIT %(limit)s
