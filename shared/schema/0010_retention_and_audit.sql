-- Retention by whole days, what it needs to be safe, and what the audit log lacked.

ALTER TABLE audit_logs
    ADD COLUMN bytes_out bigint,
    ADD COLUMN calls int NOT NULL DEFAULT 1;
COMMENT ON COLUMN audit_logs.bytes_in IS 'Bytes of the body, decompressed, as far as it was read.';
COMMENT ON COLUMN audit_logs.bytes_out IS 'Bytes of the answer''s body; NULL where it was not known when the record was written: a streamed answer, and every ingest call, whose answer is made of what writing its record returned.';
COMMENT ON COLUMN audit_logs.calls IS 'Calls this row stands for: 1, or more for calls without a key beyond the limit, which are counted by address.';
-- Serves: the calls that failed, and those of a status or error; they are few, and so are its pages.
CREATE INDEX audit_logs_failed ON audit_logs (at, id) WHERE status >= 400;
-- Serves: the one call somebody asks about, by the id that its answer carried.
CREATE INDEX audit_logs_request ON audit_logs (request_id);

CREATE TABLE maintenance (
    task   text PRIMARY KEY,
    at     timestamptz NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE maintenance IS 'What the leader of the processors'' maintenance did last: partitions, retention; clock: the last time seen, and since when it is distrusted; rollups: before which time there are none.';

CREATE TABLE dropped_days (
    parent     text NOT NULL,
    day        date NOT NULL,
    dropped_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (parent, day)
);
COMMENT ON TABLE dropped_days IS 'Days whose partition was dropped. Rollups outlive it; a recount of such a day proves nothing.';

-- detach_day_partition(parent, child): takes a day out of its parent in one short step, and gives it a name under which no
-- later partition of the day meets it; returns that name. Waits at most 0.2 s for its lock, for all who come later wait behind it.
-- The owner's: it drops whatever it is told.
CREATE FUNCTION detach_day_partition(parent text, child text) RETURNS text
LANGUAGE plpgsql SET search_path = public, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
    expired text := left('expired_' || child, 40) || '_' || pg_current_xact_id();
BEGIN
    IF parent NOT IN ('events', 'audit_logs') OR NOT EXISTS (
        SELECT FROM pg_inherits WHERE inhrelid = to_regclass(child) AND inhparent = to_regclass(parent))
    THEN
        RAISE EXCEPTION 'detach_day_partition: % is no partition of %', child, parent USING ERRCODE = 'undefined_table';
    END IF;
    -- The parent first, as those who insert do: no deadlock.
    EXECUTE format('LOCK TABLE ONLY %I IN ACCESS EXCLUSIVE MODE', parent);
    EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', parent, child);
    EXECUTE format('ALTER TABLE %I RENAME TO %I', child, expired);
    INSERT INTO dropped_days (parent, day) VALUES (parent, to_date(right(child, 8), 'YYYYMMDD'))
    ON CONFLICT ON CONSTRAINT dropped_days_pkey DO UPDATE SET dropped_at = now();
    RETURN expired;
END $$;

-- expire_day_partition(parent, child, keep_days): the same for the writer, who may do it to what is past retention by
-- PostgreSQL's own clock, and to nothing younger than a day, whatever keep_days says.
CREATE FUNCTION expire_day_partition(parent text, child text, keep_days int) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET TimeZone = 'UTC' SET lock_timeout = '200ms' AS $$
DECLARE
    range_end timestamptz;
BEGIN
    SELECT (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''([^'']+)''\)$'))[1]::timestamptz INTO range_end
    FROM pg_class c WHERE c.oid = to_regclass(child);
    IF range_end IS NULL OR range_end > now() - make_interval(hours => 24 * greatest(keep_days, 1)) THEN
        RAISE EXCEPTION 'expire_day_partition: % is not past its retention of % days', child, keep_days
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN detach_day_partition(parent, child);
END $$;

-- forget_ids(expired, first_block, blocks): deletes the ids of the events in these pages of a detached day; how many there
-- were, NULL behind the last page. Again is harmless: an id that was given to another event since stays.
CREATE FUNCTION forget_ids(expired text, first_block bigint, blocks int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    forgotten bigint;
BEGIN
    PERFORM refuse_unless_expired(expired);
    IF first_block * current_setting('block_size')::bigint >= pg_relation_size(to_regclass(expired)) THEN
        RETURN NULL;
    END IF;
    EXECUTE format(
        'DELETE FROM event_ids i USING (SELECT client_id, event_id, occurred_at FROM %I WHERE ctid >= %L AND ctid < %L) e '
        'WHERE i.client_id = e.client_id AND i.event_id = e.event_id AND i.occurred_at = e.occurred_at',
        expired, format('(%s,0)', first_block), format('(%s,0)', first_block + blocks));
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END $$;

-- drop_expired(expired): drops a detached day. Nobody uses it: nobody waits.
CREATE FUNCTION drop_expired(expired text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '200ms' AS $$
BEGIN
    PERFORM refuse_unless_expired(expired);
    EXECUTE format('DROP TABLE %I', expired);
END $$;

CREATE FUNCTION refuse_unless_expired(expired text) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class WHERE oid = to_regclass(expired) AND relkind = 'r' AND NOT relispartition
                   AND relname ~ '^expired_(events|audit_logs)_\d{8}_\d+$') THEN
        RAISE EXCEPTION '% is no detached day', expired USING ERRCODE = 'undefined_table';
    END IF;
END $$;

-- expire_rollups(rollup, before, most): deletes at most so many of a rollup's oldest rows from before a time, which must be
-- past by a day at least by PostgreSQL's own clock; how many. Index: the rollup's primary key, which begins with bucket_start.
CREATE FUNCTION expire_rollups(rollup text, before timestamptz, most int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    deleted bigint;
BEGIN
    IF rollup !~ '^rollup_[a-z_]+$' OR before > now() - interval '24 hours' THEN
        RAISE EXCEPTION 'expire_rollups: % before % may not be deleted', rollup, before
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    EXECUTE format(
        'DELETE FROM %I WHERE ctid = ANY(ARRAY(SELECT ctid FROM %I WHERE bucket_start < $1 ORDER BY bucket_start LIMIT $2))',
        rollup, rollup) USING before, most;
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END $$;

REVOKE ALL ON FUNCTION detach_day_partition(text, text), expire_day_partition(text, text, int),
    forget_ids(text, bigint, int), drop_expired(text), refuse_unless_expired(text),
    expire_rollups(text, timestamptz, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION expire_day_partition(text, text, int), forget_ids(text, bigint, int), drop_expired(text),
    expire_rollups(text, timestamptz, int) TO weir_writer;
GRANT SELECT, INSERT, UPDATE ON maintenance TO weir_writer;
GRANT SELECT ON dropped_days TO weir_writer;
