#!/bin/bash
# Fills an empty database: deploy/backup/restore_postgres.sh FOLDER/postgres.dump
#
# Needs DATABASE_URL (its owner's, who may make roles), psql, and pg_restore of the version of pg_dump or later.
# All or nothing. Logins of their own are made again by deploy/postgres/roles.sql.
set -euo pipefail
. "$(dirname "$0")/urls.sh"
dump=${1:?say which dump}
postgres_arguments "${DATABASE_URL:?is not set}"

# Roles belong to the server, not to the database, and are not in the dump.
psql -X -q -v ON_ERROR_STOP=1 -d "$POSTGRES_URL" <<'SQL'
DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['weir_writer', 'weir_keys', 'weir_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
            EXECUTE format('GRANT %I TO %I', role, current_user);
        END IF;
    END LOOP;
END $$;
SQL
pg_restore --no-owner --exit-on-error --single-transaction --dbname="$POSTGRES_URL" "$dump"
psql -X -q -v ON_ERROR_STOP=1 -d "$POSTGRES_URL" -c ANALYZE
echo "restored" >&2
