-- API keys: only an HMAC of the secret is kept.
CREATE TABLE api_keys (
    public_id    text COLLATE "C" PRIMARY KEY,
    secret_hmac  bytea NOT NULL,
    client_id    text COLLATE "C" NOT NULL CHECK (client_id <> ''),
    name         text NOT NULL,
    scopes       text[] NOT NULL CHECK (scopes <@ ARRAY['ingest', 'read', 'admin'] AND scopes <> '{}'),
    rate_limit   int CHECK (rate_limit >= 0),
    is_active    boolean NOT NULL DEFAULT true,
    expires_at   timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz
);
COMMENT ON COLUMN api_keys.rate_limit IS 'Requests a window; 0 is none; NULL is the default of the settings.';
CREATE INDEX api_keys_client ON api_keys (client_id);
