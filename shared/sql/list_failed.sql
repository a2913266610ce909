-- Failed events without their payloads, the latest failure first.
-- Parameters: client_id, event_type, reason, since, until (of last_failed_at), ids: each or NULL; limit.
-- Index: failed_events_time, backwards, or failed_events_pkey for ids.
SELECT id, client_id, event_id, event_type, occurred_at, received_at, reason, sqlstate, detail, attempts,
       same_kind_failures, first_failed_at, last_failed_at, next_step, replays, retries, replayed_at, next_retry_at,
       octet_length(payload) AS payload_bytes
FROM failed_events
WHERE (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
  AND (%(event_type)s::text IS NULL OR event_type = %(event_type)s)
  AND (%(reason)s::text IS NULL OR reason = %(reason)s)
  AND (%(since)s::timestamptz IS NULL OR last_failed_at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR last_failed_at < %(until)s)
  AND (%(ids)s::bigint[] IS NULL OR id = ANY(%(ids)s::bigint[]))
ORDER BY last_failed_at DESC, id DESC
LIMIT %(limit)s
