-- Events, the promise "once", and the fence that makes a redelivered entry a no-op.
-- Text keys are COLLATE "C": ids are compared as bytes, and every processor sorts them the same way.

CREATE TABLE events (
    client_id   text COLLATE "C" NOT NULL,
    event_id    text COLLATE "C" NOT NULL,
    event_type  text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    stored_at   timestamptz NOT NULL DEFAULT now(),
    payload     jsonb NOT NULL,
    context     jsonb NOT NULL
) PARTITION BY RANGE (occurred_at);
COMMENT ON TABLE events IS 'One row an event; a partition a UTC day of occurred_at. Unique by event_ids.';
COMMENT ON COLUMN events.stored_at IS 'When the transaction that stored the event began.';
COMMENT ON COLUMN events.context IS 'What enrichment added: gateway, client address, user agent, and the output of plugged-in enrichers.';
-- Serves: lists newest first of one client; an id looked up through event_ids.
CREATE INDEX events_client_time ON events (client_id, occurred_at);

CREATE TABLE event_ids (
    client_id   text COLLATE "C" NOT NULL,
    event_id    text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    payload_crc int NOT NULL,
    PRIMARY KEY (client_id, event_id)
) PARTITION BY HASH (client_id, event_id);
COMMENT ON TABLE event_ids IS 'The promise "once": written in the transaction that writes the event. payload_crc tells a repeat with another payload.';
DO $$ BEGIN
    FOR i IN 0..7 LOOP
        EXECUTE format('CREATE TABLE event_ids_%s PARTITION OF event_ids FOR VALUES WITH (MODULUS 8, REMAINDER %s)', i, i);
    END LOOP;
END $$;

CREATE TABLE stored_entries (
    stream    text COLLATE "C" NOT NULL,
    entry_id  text COLLATE "C" NOT NULL,
    content_crc int NOT NULL,
    failures  bytea,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream, entry_id, content_crc)
);
COMMENT ON TABLE stored_entries IS 'Stream entries whose events are committed. A redelivered entry found here is only acknowledged; failures, if any, are still to be moved to the dead stream.';
COMMENT ON COLUMN stored_entries.content_crc IS 'CRC-32 of the entry: where Redis lost its data, an id may come again for another entry, if the clock stepped back.';
CREATE INDEX stored_entries_age ON stored_entries (stored_at);

CREATE TABLE rollup_events_minute (
    bucket_start timestamptz NOT NULL,
    client_id    text COLLATE "C" NOT NULL,
    event_type   text COLLATE "C" NOT NULL,
    events       bigint NOT NULL,
    bytes        bigint NOT NULL,
    PRIMARY KEY (bucket_start, client_id, event_type)
);
COMMENT ON TABLE rollup_events_minute IS 'Stored events by minute of occurred_at; bytes are payload bytes as sent.';

CREATE TABLE rollup_latency_minute (
    bucket_start timestamptz NOT NULL,
    client_id    text COLLATE "C" NOT NULL,
    event_type   text COLLATE "C" NOT NULL,
    bucket       smallint NOT NULL,
    events       bigint NOT NULL,
    PRIMARY KEY (bucket_start, client_id, event_type, bucket)
);
COMMENT ON TABLE rollup_latency_minute IS 'Receipt-to-stored latency by minute of stored_at: a DDSketch histogram, gamma = 1.02/0.98; bucket = ceil(log_gamma(microseconds)).';

CREATE TABLE rollup_intake_minute (
    bucket_start timestamptz NOT NULL,
    client_id    text COLLATE "C" NOT NULL,
    stored       bigint NOT NULL,
    duplicates   bigint NOT NULL,
    conflicting  bigint NOT NULL,
    failed       bigint NOT NULL,
    PRIMARY KEY (bucket_start, client_id)
);
COMMENT ON TABLE rollup_intake_minute IS 'What became of accepted events, by minute of receipt. conflicting: the duplicates that came with another payload.';

CREATE TABLE failed_events (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id       text COLLATE "C" NOT NULL,
    event_id        text COLLATE "C",
    event_type      text COLLATE "C",
    occurred_at     timestamptz,
    received_at     timestamptz,
    payload         bytea NOT NULL,
    reason          text NOT NULL,
    sqlstate        text,
    detail          text NOT NULL,
    attempts        int NOT NULL,
    first_failed_at timestamptz NOT NULL,
    last_failed_at  timestamptz NOT NULL,
    next_step       text NOT NULL,
    replays         int NOT NULL DEFAULT 0
);
COMMENT ON TABLE failed_events IS 'Events that were given up, with the reason and the original bytes.';
CREATE UNIQUE INDEX failed_events_once ON failed_events (client_id, event_id) WHERE event_id IS NOT NULL;
CREATE INDEX failed_events_time ON failed_events (last_failed_at);
