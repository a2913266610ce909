-- Failed events as something to work with: put back on their stream, counted when they fail again, retried by schedule.

ALTER TABLE failed_events
    ADD COLUMN same_kind_failures int NOT NULL DEFAULT 1,
    ADD COLUMN later_receipts timestamptz[] NOT NULL DEFAULT '{}',
    ADD COLUMN origin jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN replayed_at timestamptz,
    ADD COLUMN retries int NOT NULL DEFAULT 0,
    ADD COLUMN next_retry_at timestamptz;
COMMENT ON COLUMN failed_events.same_kind_failures IS 'Failures in a row with the same reason and SQLSTATE; at 3 a replay must be forced.';
COMMENT ON COLUMN failed_events.later_receipts IS 'Receipts after received_at of the same event, accepted again and failed again: each was counted as failed.';
COMMENT ON COLUMN failed_events.origin IS 'The request that brought the event: gateway, address, user_agent, request_id, key_id.';
COMMENT ON COLUMN failed_events.replayed_at IS 'When it was put back on its stream; NULL when no replay is under way.';
COMMENT ON COLUMN failed_events.replays IS 'How often it was put back, by hand or by schedule.';
COMMENT ON COLUMN failed_events.retries IS 'How often of these by schedule.';
COMMENT ON COLUMN failed_events.next_retry_at IS 'When the schedule puts it back; NULL for never.';
-- Serves: what the schedule has to retry.
CREATE INDEX failed_events_due ON failed_events (next_retry_at) WHERE next_retry_at IS NOT NULL;

-- event_is_stored(client, event): whether the event is stored, now and until this transaction ends: who stores it at the
-- same time is waited for, and who comes later waits for us. Inserting its id, and taking that back, is the one lock that
-- storing an event takes too. So a failed event is never written beside its stored row.
-- SECURITY DEFINER: the writer may not delete ids. Ask in key order: no deadlock.
CREATE FUNCTION event_is_stored(client text, event text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO event_ids (client_id, event_id, occurred_at, payload_crc) VALUES (client, event, now(), 0)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN true;
    END IF;
    DELETE FROM event_ids WHERE client_id = client AND event_id = event;
    RETURN false;
END $$;
REVOKE ALL ON FUNCTION event_is_stored(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION event_is_stored(text, text) TO weir_writer;

-- keys: the gateway replays. It marks, and neither adds nor deletes.
GRANT SELECT ON failed_events TO weir_keys;
GRANT UPDATE (replayed_at, replays, retries) ON failed_events TO weir_keys;
