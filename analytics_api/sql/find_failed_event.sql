-- One event that was given up.
-- Parameters: client_id, event_id.
-- Index: failed_events_once.
SELECT event_id, client_id, event_type, payload, occurred_at, received_at, reason, sqlstate, detail, attempts,
       first_failed_at, last_failed_at, next_step, replays
FROM failed_events
WHERE client_id = %(client_id)s AND event_id = %(event_id)s
