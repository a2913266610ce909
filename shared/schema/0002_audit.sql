-- One row for every call that either service answered; insert-only for the services' roles.
CREATE TABLE audit_logs (
    at           timestamptz NOT NULL,
    id           bigint GENERATED ALWAYS AS IDENTITY (CACHE 1000),
    service      text NOT NULL,
    instance     text NOT NULL,
    client_id    text COLLATE "C",
    key_id       text COLLATE "C",
    method       text NOT NULL,
    endpoint     text NOT NULL,
    path         text NOT NULL,
    query        text NOT NULL,
    status       smallint NOT NULL,
    error        text,
    duration_us  bigint NOT NULL,
    bytes_in     bigint NOT NULL,
    address      text NOT NULL,
    user_agent   text NOT NULL,
    request_id   text NOT NULL
) PARTITION BY RANGE (at);
COMMENT ON TABLE audit_logs IS 'A partition a UTC day. endpoint is the route template, path what was asked; never a payload, never a secret.';
-- Serves: a client's calls newest first.
CREATE INDEX audit_logs_client_time ON audit_logs (client_id, at);
-- Serves: all calls newest first, for admins.
CREATE INDEX audit_logs_time ON audit_logs (at, id);
