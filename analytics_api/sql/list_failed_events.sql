-- Events that were given up, the latest failure first; without their payloads.
-- Parameters: start, end, of last_failed_at; client_id, event_type, reason or NULL each; before_at and before_id, the last
--   row of the page before, or NULL; limit.
-- Index: failed_events_time, backwards.
SELECT id, event_id, client_id, event_type, occurred_at, received_at, reason, sqlstate, detail, attempts,
       first_failed_at, last_failed_at, next_step, replays, same_kind_failures, replayed_at,
       next_retry_at, octet_length(payload) AS payload_bytes
FROM failed_events
WHERE last_failed_at >= %(start)s AND last_failed_at < %(end)s
  AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
  AND (%(event_type)s::text IS NULL OR event_type = %(event_type)s)
  AND (%(reason)s::text IS NULL OR reason = %(reason)s)
  AND (%(before_at)s::timestamptz IS NULL OR (last_failed_at, id) < (%(before_at)s, %(before_id)s))
ORDER BY last_failed_at DESC, id DESC
LIMIT %(limit)s
