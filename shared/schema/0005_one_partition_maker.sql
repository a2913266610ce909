-- ensure_day_partition once more: two processors that met a new day together made the same table, and the second failed.
-- After waiting for an advisory lock a session goes on with its old view of the catalog; after a table's lock it looks anew.

-- ensure_day_partition(parent, day): makes the partition of one UTC day; true if it was made, false if it was there.
-- CREATE … LIKE then ATTACH: PARTITION OF would take ACCESS EXCLUSIVE on the parent and wait behind every long SELECT.
-- The lock is the one ATTACH needs: one maker at a time, and neither reads nor writes wait for it.
-- SECURITY DEFINER: attaching needs the owner; the writer may only call this.
CREATE OR REPLACE FUNCTION ensure_day_partition(parent text, day date) RETURNS boolean
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
    EXECUTE format('LOCK TABLE ONLY %I IN SHARE UPDATE EXCLUSIVE MODE', parent);
    IF to_regclass(child) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL EXCLUDING IDENTITY)', child, parent);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, child,
                   day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
    RETURN true;
END $$;
