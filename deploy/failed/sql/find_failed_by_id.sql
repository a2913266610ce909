-- One failed event with its payload. Index: failed_events_pkey.
SELECT id, client_id, event_id, event_type, occurred_at, received_at, reason, sqlstate, detail, attempts,
       same_kind_failures, first_failed_at, last_failed_at, next_step, replays, retries, replayed_at, next_retry_at,
       later_receipts, origin, payload
FROM failed_events WHERE id = %(id)s
