-- A failed event; one that failed before is counted up and keeps its first failure. Index: failed_events_once.
INSERT INTO failed_events AS f (client_id, event_id, event_type, occurred_at, received_at, payload, reason, sqlstate,
                                detail, attempts, first_failed_at, last_failed_at, next_step)
VALUES (%(client_id)s, %(event_id)s, %(event_type)s, to_timestamp(%(occurred_us)s::bigint / 1e6),
        to_timestamp(%(received_us)s::bigint / 1e6), %(payload)s, %(reason)s, %(sqlstate)s, %(detail)s, %(attempts)s,
        to_timestamp(%(failed_us)s::bigint / 1e6), to_timestamp(%(failed_us)s::bigint / 1e6), %(next_step)s)
ON CONFLICT (client_id, event_id) WHERE event_id IS NOT NULL DO UPDATE SET
    payload = excluded.payload, reason = excluded.reason, sqlstate = excluded.sqlstate, detail = excluded.detail,
    attempts = f.attempts + excluded.attempts, last_failed_at = excluded.last_failed_at, next_step = excluded.next_step
