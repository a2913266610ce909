-- Since when accepted events are counted. Index: none, the table has a row a migration.
-- A database that got all its migrations together has no event from before: its first minute counts. Else the next one.
SELECT floor(extract(epoch FROM applied_at) / 60)::bigint
    + CASE WHEN applied_at < (SELECT min(applied_at) FROM schema_migrations) + interval '1 minute' THEN 0 ELSE 1 END
FROM schema_migrations WHERE name LIKE '%%accepted_counts'
