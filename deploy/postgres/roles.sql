-- A login of its own for each service, with the rights of its role and no others. After `weir db migrate`, by the owner
-- of the schema (who has made the roles) or a superuser; again to change the passwords:
--
--   GATEWAY_PASSWORD=… PROCESSOR_PASSWORD=… ANALYTICS_PASSWORD=… psql -X -d "$DATABASE_URL" -f deploy/postgres/roles.sql
--
-- The passwords come from the environment (psql 14 or later): no list of processes shows them. A server that logs
-- statements (log_statement = ddl) logs these; turn it off meanwhile: PGOPTIONS='-c log_statement=none', by a superuser.
\set ON_ERROR_STOP on
\getenv gateway_password GATEWAY_PASSWORD
\getenv processor_password PROCESSOR_PASSWORD
\getenv analytics_password ANALYTICS_PASSWORD

BEGIN;
SELECT format('CREATE ROLE %I', name) FROM unnest(ARRAY['weir_gateway', 'weir_processor', 'weir_analytics']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

-- A variable that is not set stays as it is written, which is an error: no login is made without a password.
ALTER ROLE weir_gateway LOGIN PASSWORD :'gateway_password' CONNECTION LIMIT 200;
ALTER ROLE weir_processor LOGIN PASSWORD :'processor_password' CONNECTION LIMIT 400;
ALTER ROLE weir_analytics LOGIN PASSWORD :'analytics_password' CONNECTION LIMIT 200;

GRANT weir_keys TO weir_gateway;
GRANT weir_writer TO weir_processor;
GRANT weir_reader TO weir_analytics;

SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database()) \gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO weir_gateway, weir_processor, weir_analytics', current_database()) \gexec
COMMIT;
