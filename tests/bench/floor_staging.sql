-- The floor's staging table: one batch, gone at COMMIT.
CREATE TEMPORARY TABLE staging (
    client_id   text COLLATE "C",
    event_id    text COLLATE "C",
    event_type  text COLLATE "C",
    occurred_at timestamptz,
    received_at timestamptz,
    payload     jsonb,
    context     jsonb,
    payload_crc int
) ON COMMIT DELETE ROWS;
