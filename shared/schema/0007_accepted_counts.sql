-- How many events were accepted: one side of the balance, moved here from Redis, where it is counted.
CREATE TABLE rollup_accepted_minute (
    bucket_start timestamptz NOT NULL,
    client_id    text COLLATE "C" NOT NULL,
    shard        int NOT NULL,
    accepted     bigint NOT NULL,
    PRIMARY KEY (bucket_start, client_id, shard)
);
COMMENT ON TABLE rollup_accepted_minute IS 'Accepted events by minute of receipt; equals stored + duplicates + failed of rollup_intake_minute and what is in flight. The latest minutes are still in Redis.';

GRANT SELECT, INSERT, UPDATE ON rollup_accepted_minute TO weir_writer;
GRANT SELECT ON rollup_accepted_minute TO weir_reader;
