-- Making a day's partition without stopping ingest, and who may do what.

-- ensure_day_partition(parent, day): makes the partition of one UTC day; true if it was made, false if it was there.
-- CREATE … LIKE then ATTACH: PARTITION OF would take ACCESS EXCLUSIVE on the parent and wait behind every long SELECT.
-- SECURITY DEFINER: attaching needs the owner; the writer may only call this. One maker at a time, by advisory lock.
CREATE FUNCTION ensure_day_partition(parent text, day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    child text := parent || '_' || to_char(day, 'YYYYMMDD');
BEGIN
    IF parent NOT IN ('events', 'audit_logs') THEN
        RAISE EXCEPTION 'ensure_day_partition: % has no day partitions', parent USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF to_regclass(child) IS NOT NULL THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('weir.partitions'));
    IF to_regclass(child) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL EXCLUDING IDENTITY)', child, parent);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, child,
                   day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
    RETURN true;
END $$;
REVOKE ALL ON FUNCTION ensure_day_partition(text, date) FROM PUBLIC;

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['weir_writer', 'weir_keys', 'weir_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- roles belong to the cluster: another database's migration made it at this moment
            END;
        END IF;
        -- so that one DATABASE_URL can serve every part by SET ROLE
        EXECUTE format('GRANT %I TO %I', role, current_user);
        EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', role);
    END LOOP;
END $$;

-- writer: the processor.
GRANT EXECUTE ON FUNCTION ensure_day_partition(text, date) TO weir_writer;
GRANT SELECT, INSERT ON events, event_ids TO weir_writer;
GRANT INSERT ON audit_logs TO weir_writer;
GRANT SELECT, INSERT, UPDATE, DELETE ON stored_entries, failed_events TO weir_writer;
GRANT SELECT, INSERT, UPDATE ON rollup_events_minute, rollup_latency_minute, rollup_intake_minute TO weir_writer;

-- keys: the gateway.
GRANT SELECT, INSERT, UPDATE, DELETE ON api_keys TO weir_keys;

-- reader: the analytics API. The parents only: a role that may read a partition sidesteps its parent's rules.
GRANT SELECT ON events, event_ids, failed_events, audit_logs TO weir_reader;
GRANT SELECT ON rollup_events_minute, rollup_latency_minute, rollup_intake_minute TO weir_reader;
GRANT SELECT ON api_keys TO weir_reader;
