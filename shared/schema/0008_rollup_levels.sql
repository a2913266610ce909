-- Rollups at hour and day beside the minute, and sums over all clients and types: long ranges cost few rows.
--
-- Storing writes minute rows. compact_rollups adds what stands in minutes before compacted_until to the coarser tables, and
-- moves compacted_until on, in one transaction; what is stored in an earlier minute from then on (late events, replays) is
-- added to minute and coarser rows in the storing transaction. So at every moment, in every snapshot,
--     a coarser row = the minute rows of its span that lie before compacted_until,
-- and a coarser row together with the minute rows from compacted_until on is exact. A lock makes it so: storing shares
-- it from before it looks at compacted_until until it ends; compacting has it alone, so it sees every minute row that
-- was written under the older compacted_until.
-- Nothing is compacted here: it begins at 1970, where every answer is from minute rows, and right.

-- Waits for those who wrote minute rows without the lock; a processor of an older version may not from here on.
LOCK TABLE rollup_events_minute, rollup_latency_minute, rollup_intake_minute IN SHARE ROW EXCLUSIVE MODE;
REVOKE INSERT, UPDATE ON rollup_events_minute, rollup_latency_minute, rollup_intake_minute FROM weir_writer;

CREATE TABLE rollup_progress (
    only_one        boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    compacted_until timestamptz NOT NULL
);
COMMENT ON TABLE rollup_progress IS 'One row: up to where minute rows are in the coarser rollups. It only grows.';
INSERT INTO rollup_progress (compacted_until) VALUES ('1970-01-01 00:00:00+00');

-- Coarser rows are read by client, then time. client_id '' is all clients, event_type '' all types: no event has such.
CREATE TABLE rollup_events_hour (
    client_id    text COLLATE "C" NOT NULL,
    bucket_start timestamptz NOT NULL,
    event_type   text COLLATE "C" NOT NULL,
    events       bigint NOT NULL,
    bytes        bigint NOT NULL,
    PRIMARY KEY (client_id, bucket_start, event_type)
);
COMMENT ON TABLE rollup_events_hour IS 'rollup_events_minute by hour (UTC), before compacted_until. client_id '''': all clients; event_type '''': all types.';
CREATE TABLE rollup_events_day (LIKE rollup_events_hour INCLUDING ALL);
COMMENT ON TABLE rollup_events_day IS 'rollup_events_minute by day (UTC), before compacted_until. client_id '''': all clients; event_type '''': all types.';
CREATE TABLE rollup_events_minute_sums (LIKE rollup_events_hour INCLUDING ALL);
COMMENT ON TABLE rollup_events_minute_sums IS 'rollup_events_minute over all clients, before compacted_until. client_id is always ''''.';

CREATE TABLE rollup_latency_hour (
    client_id    text COLLATE "C" NOT NULL,
    event_type   text COLLATE "C" NOT NULL,
    bucket_start timestamptz NOT NULL,
    bucket       smallint NOT NULL,
    events       bigint NOT NULL,
    PRIMARY KEY (client_id, bucket_start, event_type, bucket)
);
COMMENT ON TABLE rollup_latency_hour IS 'rollup_latency_minute by hour (UTC), before compacted_until; client_id or event_type is '''', or both: all of them. A client''s types are in minutes and days only.';
CREATE TABLE rollup_latency_day (LIKE rollup_latency_hour INCLUDING ALL);
COMMENT ON TABLE rollup_latency_day IS 'rollup_latency_minute by day (UTC), before compacted_until. client_id '''': all clients; event_type '''': all types.';
CREATE TABLE rollup_latency_minute_sums (LIKE rollup_latency_hour INCLUDING ALL);
COMMENT ON TABLE rollup_latency_minute_sums IS 'rollup_latency_minute over all clients and types, before compacted_until. client_id and event_type are always ''''.';

-- Serve: all types together, which is what most questions are about.
CREATE INDEX rollup_events_hour_all_types ON rollup_events_hour (client_id, bucket_start) WHERE event_type = '';
CREATE INDEX rollup_events_day_all_types ON rollup_events_day (client_id, bucket_start) WHERE event_type = '';
CREATE INDEX rollup_latency_hour_all_types ON rollup_latency_hour (client_id, bucket_start) WHERE event_type = '';
CREATE INDEX rollup_latency_day_all_types ON rollup_latency_day (client_id, bucket_start) WHERE event_type = '';

CREATE TABLE rollup_intake_hour (
    bucket_start timestamptz NOT NULL,
    client_id    text COLLATE "C" NOT NULL,
    stored       bigint NOT NULL,
    duplicates   bigint NOT NULL,
    conflicting  bigint NOT NULL,
    failed       bigint NOT NULL,
    PRIMARY KEY (bucket_start, client_id)
);
COMMENT ON TABLE rollup_intake_hour IS 'rollup_intake_minute by hour (UTC), before compacted_until.';
CREATE TABLE rollup_intake_day (LIKE rollup_intake_hour INCLUDING ALL);
COMMENT ON TABLE rollup_intake_day IS 'rollup_intake_minute by day (UTC), before compacted_until.';


-- Adding minute rows to every coarser table. Two functions do it, from one text: add_to_rollups for what a transaction
-- brings for minutes that are compacted already, compact_rollups for minutes that are not yet. GIVEN_… stands for the
-- rows. In key order, and the tables in one order: no deadlock.
DO $migration$
DECLARE
    coarser text := $sql$
        INSERT INTO rollup_events_minute_sums AS r (client_id, bucket_start, event_type, events, bytes)
        SELECT '', bucket_start, event_type, sum(events), sum(bytes) FROM GIVEN_EVENTS
        GROUP BY bucket_start, event_type ORDER BY bucket_start, event_type COLLATE "C"
        ON CONFLICT (client_id, bucket_start, event_type)
        DO UPDATE SET events = r.events + excluded.events, bytes = r.bytes + excluded.bytes;

        INSERT INTO rollup_events_hour AS r (client_id, bucket_start, event_type, events, bytes)
        SELECT coalesce(client_id, ''), hour, coalesce(event_type, ''), sum(events), sum(bytes)
        FROM (SELECT *, date_trunc('hour', bucket_start, 'UTC') AS hour FROM GIVEN_EVENTS) AS h
        GROUP BY GROUPING SETS ((hour), (client_id, hour), (hour, event_type), (client_id, hour, event_type))
        ORDER BY coalesce(client_id, '') COLLATE "C", hour, coalesce(event_type, '') COLLATE "C"
        ON CONFLICT (client_id, bucket_start, event_type)
        DO UPDATE SET events = r.events + excluded.events, bytes = r.bytes + excluded.bytes;

        INSERT INTO rollup_events_day AS r (client_id, bucket_start, event_type, events, bytes)
        SELECT coalesce(client_id, ''), day, coalesce(event_type, ''), sum(events), sum(bytes)
        FROM (SELECT *, date_trunc('day', bucket_start, 'UTC') AS day FROM GIVEN_EVENTS) AS d
        GROUP BY GROUPING SETS ((day), (client_id, day), (day, event_type), (client_id, day, event_type))
        ORDER BY coalesce(client_id, '') COLLATE "C", day, coalesce(event_type, '') COLLATE "C"
        ON CONFLICT (client_id, bucket_start, event_type)
        DO UPDATE SET events = r.events + excluded.events, bytes = r.bytes + excluded.bytes;
    $sql$;
    coarser_latency text := $sql$
        INSERT INTO rollup_latency_minute_sums AS r (client_id, bucket_start, event_type, bucket, events)
        SELECT '', bucket_start, '', bucket, sum(events) FROM GIVEN_LATENCY
        GROUP BY bucket_start, bucket ORDER BY bucket_start, bucket
        ON CONFLICT (client_id, bucket_start, event_type, bucket) DO UPDATE SET events = r.events + excluded.events;

        INSERT INTO rollup_latency_hour AS r (client_id, bucket_start, event_type, bucket, events)
        SELECT coalesce(client_id, ''), hour, coalesce(event_type, ''), bucket, sum(events)
        FROM (SELECT *, date_trunc('hour', bucket_start, 'UTC') AS hour FROM GIVEN_LATENCY) AS h
        GROUP BY GROUPING SETS ((hour, bucket), (client_id, hour, bucket), (hour, event_type, bucket))
        ORDER BY coalesce(client_id, '') COLLATE "C", hour, coalesce(event_type, '') COLLATE "C", bucket
        ON CONFLICT (client_id, bucket_start, event_type, bucket) DO UPDATE SET events = r.events + excluded.events;

        INSERT INTO rollup_latency_day AS r (client_id, bucket_start, event_type, bucket, events)
        SELECT coalesce(client_id, ''), day, coalesce(event_type, ''), bucket, sum(events)
        FROM (SELECT *, date_trunc('day', bucket_start, 'UTC') AS day FROM GIVEN_LATENCY) AS d
        GROUP BY GROUPING SETS ((day, bucket), (client_id, day, bucket), (day, event_type, bucket),
                                (client_id, day, event_type, bucket))
        ORDER BY coalesce(client_id, '') COLLATE "C", day, coalesce(event_type, '') COLLATE "C", bucket
        ON CONFLICT (client_id, bucket_start, event_type, bucket) DO UPDATE SET events = r.events + excluded.events;
    $sql$;
    coarser_intake text := $sql$
        INSERT INTO rollup_intake_hour AS r (bucket_start, client_id, stored, duplicates, conflicting, failed)
        SELECT date_trunc('hour', bucket_start, 'UTC'), client_id, sum(stored), sum(duplicates), sum(conflicting), sum(failed)
        FROM GIVEN_INTAKE GROUP BY 1, 2 ORDER BY 1, client_id COLLATE "C"
        ON CONFLICT (bucket_start, client_id) DO UPDATE SET
            stored = r.stored + excluded.stored, duplicates = r.duplicates + excluded.duplicates,
            conflicting = r.conflicting + excluded.conflicting, failed = r.failed + excluded.failed;

        INSERT INTO rollup_intake_day AS r (bucket_start, client_id, stored, duplicates, conflicting, failed)
        SELECT date_trunc('day', bucket_start, 'UTC'), client_id, sum(stored), sum(duplicates), sum(conflicting), sum(failed)
        FROM GIVEN_INTAKE GROUP BY 1, 2 ORDER BY 1, client_id COLLATE "C"
        ON CONFLICT (bucket_start, client_id) DO UPDATE SET
            stored = r.stored + excluded.stored, duplicates = r.duplicates + excluded.duplicates,
            conflicting = r.conflicting + excluded.conflicting, failed = r.failed + excluded.failed;
    $sql$;
    -- add_to_rollups(…): all that one transaction adds, in one call, as its last step: the rows it locks are shared by
    -- all processors. Arrays of one length each for event counts (minutes of occurred_at), latencies (all of one minute
    -- of storing) and intake (minutes of receipt); minutes are counted from 1970.
    -- SECURITY DEFINER: nobody else writes rollups, so nobody does without the lock.
    add_to_rollups text := $sql$
        CREATE FUNCTION add_to_rollups(
            event_minutes bigint[], event_clients text[], event_types text[], event_counts bigint[], event_bytes bigint[],
            stored_minute bigint, latency_clients text[], latency_types text[], latency_buckets smallint[],
            latency_counts bigint[],
            intake_minutes bigint[], intake_clients text[], intake_stored bigint[], intake_duplicates bigint[],
            intake_conflicting bigint[], intake_failed bigint[]
        ) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $body$
        #variable_conflict use_column
        DECLARE
            compacted_minute bigint;
        BEGIN
            PERFORM pg_advisory_xact_lock_shared(hashtext('weir.rollups'));
            SELECT extract(epoch FROM p.compacted_until)::bigint / 60 INTO STRICT compacted_minute FROM rollup_progress AS p;

            IF cardinality(event_minutes) > 0 THEN
                INSERT INTO rollup_events_minute AS r (bucket_start, client_id, event_type, events, bytes)
                SELECT to_timestamp(minute * 60::float8), client_id, event_type, events, bytes
                FROM unnest(event_minutes, event_clients, event_types, event_counts, event_bytes)
                    AS i(minute, client_id, event_type, events, bytes)
                ORDER BY minute, client_id COLLATE "C", event_type COLLATE "C"
                ON CONFLICT (bucket_start, client_id, event_type)
                DO UPDATE SET events = r.events + excluded.events, bytes = r.bytes + excluded.bytes;
            END IF;
            IF compacted_minute > ANY (event_minutes) THEN
                COARSER_EVENTS
            END IF;
            IF cardinality(latency_buckets) > 0 THEN
                INSERT INTO rollup_latency_minute AS r (bucket_start, client_id, event_type, bucket, events)
                SELECT to_timestamp(stored_minute * 60::float8), client_id, event_type, bucket, events
                FROM unnest(latency_clients, latency_types, latency_buckets, latency_counts)
                    AS i(client_id, event_type, bucket, events)
                ORDER BY client_id COLLATE "C", event_type COLLATE "C", bucket
                ON CONFLICT (bucket_start, client_id, event_type, bucket) DO UPDATE SET events = r.events + excluded.events;
                IF compacted_minute > stored_minute THEN
                    COARSER_LATENCY
                END IF;
            END IF;
            IF cardinality(intake_minutes) > 0 THEN
                INSERT INTO rollup_intake_minute AS r (bucket_start, client_id, stored, duplicates, conflicting, failed)
                SELECT to_timestamp(minute * 60::float8), client_id, stored, duplicates, conflicting, failed
                FROM unnest(intake_minutes, intake_clients, intake_stored, intake_duplicates, intake_conflicting, intake_failed)
                    AS i(minute, client_id, stored, duplicates, conflicting, failed)
                ORDER BY minute, client_id COLLATE "C"
                ON CONFLICT (bucket_start, client_id) DO UPDATE SET
                    stored = r.stored + excluded.stored, duplicates = r.duplicates + excluded.duplicates,
                    conflicting = r.conflicting + excluded.conflicting, failed = r.failed + excluded.failed;
            END IF;
            IF compacted_minute > ANY (intake_minutes) THEN
                COARSER_INTAKE
            END IF;
        END $body$
    $sql$;
    -- compact_rollups(target): moves compacted_until towards target, by at most an hour of rows, and returns it: call it until
    -- it is there. Storing waits meanwhile; it gives up (55P03) rather than wait for long, as those behind it wait too.
    compact_rollups text := $sql$
        CREATE FUNCTION compact_rollups(target timestamptz) RETURNS timestamptz
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '500ms' AS $body$
        DECLARE
            from_at timestamptz;
            to_at timestamptz;
        BEGIN
            PERFORM pg_advisory_xact_lock(hashtext('weir.rollups'));
            SELECT compacted_until INTO STRICT from_at FROM rollup_progress;
            target := date_trunc('minute', target, 'UTC');
            IF target <= from_at THEN
                RETURN from_at;
            END IF;
            SELECT least(target, min(first) + interval '1 hour') INTO STRICT to_at FROM (
                SELECT min(bucket_start) AS first FROM rollup_events_minute WHERE bucket_start >= from_at
                UNION ALL SELECT min(bucket_start) FROM rollup_latency_minute WHERE bucket_start >= from_at
                UNION ALL SELECT min(bucket_start) FROM rollup_intake_minute WHERE bucket_start >= from_at) AS minutes;
            COARSER_EVENTS
            COARSER_LATENCY
            COARSER_INTAKE
            UPDATE rollup_progress SET compacted_until = to_at;
            RETURN to_at;
        END $body$
    $sql$;
BEGIN
    add_to_rollups := replace(add_to_rollups, 'COARSER_EVENTS', replace(coarser, 'GIVEN_EVENTS', $given$
        (SELECT to_timestamp(minute * 60::float8) AS bucket_start, client_id, event_type, events, bytes
         FROM unnest(event_minutes, event_clients, event_types, event_counts, event_bytes)
             AS i(minute, client_id, event_type, events, bytes) WHERE minute < compacted_minute) AS given$given$));
    add_to_rollups := replace(add_to_rollups, 'COARSER_LATENCY', replace(coarser_latency, 'GIVEN_LATENCY', $given$
        (SELECT to_timestamp(stored_minute * 60::float8) AS bucket_start, client_id, event_type, bucket, events
         FROM unnest(latency_clients, latency_types, latency_buckets, latency_counts)
             AS i(client_id, event_type, bucket, events)) AS given$given$));
    add_to_rollups := replace(add_to_rollups, 'COARSER_INTAKE', replace(coarser_intake, 'GIVEN_INTAKE', $given$
        (SELECT to_timestamp(minute * 60::float8) AS bucket_start, client_id, stored, duplicates, conflicting, failed
         FROM unnest(intake_minutes, intake_clients, intake_stored, intake_duplicates, intake_conflicting, intake_failed)
             AS i(minute, client_id, stored, duplicates, conflicting, failed) WHERE minute < compacted_minute) AS given$given$));
    compact_rollups := replace(compact_rollups, 'COARSER_EVENTS', replace(coarser, 'GIVEN_EVENTS',
        '(SELECT * FROM rollup_events_minute WHERE bucket_start >= from_at AND bucket_start < to_at) AS given'));
    compact_rollups := replace(compact_rollups, 'COARSER_LATENCY', replace(coarser_latency, 'GIVEN_LATENCY',
        '(SELECT * FROM rollup_latency_minute WHERE bucket_start >= from_at AND bucket_start < to_at) AS given'));
    compact_rollups := replace(compact_rollups, 'COARSER_INTAKE', replace(coarser_intake, 'GIVEN_INTAKE',
        '(SELECT * FROM rollup_intake_minute WHERE bucket_start >= from_at AND bucket_start < to_at) AS given'));
    EXECUTE add_to_rollups;
    EXECUTE compact_rollups;
END $migration$;

REVOKE ALL ON FUNCTION add_to_rollups(
    bigint[], text[], text[], bigint[], bigint[], bigint, text[], text[], smallint[], bigint[],
    bigint[], text[], bigint[], bigint[], bigint[], bigint[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION compact_rollups(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_to_rollups(
    bigint[], text[], text[], bigint[], bigint[], bigint, text[], text[], smallint[], bigint[],
    bigint[], text[], bigint[], bigint[], bigint[], bigint[]) TO weir_writer;
GRANT EXECUTE ON FUNCTION compact_rollups(timestamptz) TO weir_writer;

GRANT SELECT ON rollup_progress, rollup_events_minute_sums, rollup_events_hour, rollup_events_day,
    rollup_latency_minute_sums, rollup_latency_hour, rollup_latency_day, rollup_intake_hour, rollup_intake_day
    TO weir_writer, weir_reader;
