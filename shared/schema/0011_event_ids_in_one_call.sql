-- Storing ids at two thirds of the cost: nearly always all are new, and ON CONFLICT makes each insert a guarded one.

-- store_event_ids(…): inserts ids in the order given (key order: no deadlock between processors). known: the places, from 1,
-- of those that were there before, NULL for none; any_failed: whether there are failed events, looked at when the ids are
-- in: from then on nobody adds one of these (event_is_stored). Waits for who writes the same ids.
-- Plain at first; at the first id that is known, all of it is taken back and done again with ON CONFLICT: at once so with
-- expect_known, for who has just met known ones.
CREATE FUNCTION store_event_ids(
    clients text[], ids text[], times timestamptz[], crcs int[], expect_known boolean,
    OUT known bigint[], OUT any_failed boolean
) LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT expect_known THEN
        BEGIN
            INSERT INTO event_ids (client_id, event_id, occurred_at, payload_crc)
            SELECT * FROM unnest(clients, ids, times, crcs);
        EXCEPTION WHEN unique_violation THEN
            expect_known := true;
        END;
    END IF;
    IF expect_known THEN
        WITH given AS MATERIALIZED (
            SELECT * FROM unnest(clients, ids, times, crcs)
                WITH ORDINALITY AS i(client_id, event_id, occurred_at, payload_crc, place)
        ), added AS (
            INSERT INTO event_ids (client_id, event_id, occurred_at, payload_crc)
            SELECT client_id, event_id, occurred_at, payload_crc FROM given ORDER BY place
            ON CONFLICT DO NOTHING RETURNING client_id, event_id
        )
        SELECT array_agg(g.place) INTO known FROM given g
        WHERE NOT EXISTS (SELECT FROM added a WHERE a.client_id = g.client_id AND a.event_id = g.event_id);
    END IF;
    SELECT EXISTS (SELECT FROM failed_events WHERE event_id IS NOT NULL) INTO any_failed;
END $$;
REVOKE ALL ON FUNCTION store_event_ids(text[], text[], timestamptz[], int[], boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION store_event_ids(text[], text[], timestamptz[], int[], boolean) TO weir_writer;
