-- Calls, newest first.
-- Parameters: start, end; client_id, endpoint, path (a prefix), method, status_from and status_to (half-open), error,
--   service, key_id, address, request_id, min_duration_us or NULL each; only_failed; before_at and before_id, the last row
--   of the page before, or NULL; limit.
-- Index: audit_logs_request with a request_id; audit_logs_failed with only_failed, an error or a status of 400 and more;
--   else audit_logs_client_time with client_id, audit_logs_time without; backwards, a day's partition after another.
SELECT at, id, service, instance, client_id, key_id, method, endpoint, path, query, status, error,
       duration_us / 1000.0::float8 AS duration_ms, bytes_in, bytes_out, address, user_agent, request_id, calls
FROM audit_logs
WHERE at >= %(start)s AND at < %(end)s
  AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
  AND (%(endpoint)s::text IS NULL OR endpoint = %(endpoint)s)
  AND (%(path)s::text IS NULL OR starts_with(path, %(path)s))
  AND (%(method)s::text IS NULL OR method = %(method)s)
  AND (%(status_from)s::int IS NULL OR (status >= %(status_from)s::int AND status < %(status_to)s::int))
  AND (%(error)s::text IS NULL OR (error = %(error)s AND status >= 400))
  AND (%(service)s::text IS NULL OR service = %(service)s)
  AND (%(key_id)s::text IS NULL OR key_id = %(key_id)s)
  AND (%(address)s::text IS NULL OR address = %(address)s)
  AND (%(request_id)s::text IS NULL OR request_id = %(request_id)s)
  AND (%(min_duration_us)s::bigint IS NULL OR duration_us >= %(min_duration_us)s)
  AND (NOT %(only_failed)s OR status >= 400)
  AND (%(before_at)s::timestamptz IS NULL OR (at, id) < (%(before_at)s, %(before_id)s))
ORDER BY at DESC, id DESC
LIMIT %(limit)s
