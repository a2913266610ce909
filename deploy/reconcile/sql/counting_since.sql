-- Since when accepted events are counted. Index: none, the table has a row a migration.
SELECT (extract(epoch FROM applied_at) / 60)::bigint + 1 FROM schema_migrations WHERE name LIKE '%%accepted_counts'
