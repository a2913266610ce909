-- Since when accepted events are counted; later where the oldest counts have gone by their retention.
-- Index: none, the tables have a row a migration, and a task.
-- A database that got all its migrations together has no event from before: its first minute counts. Else the next one.
SELECT greatest(
    floor(extract(epoch FROM applied_at) / 60)::bigint
        + CASE WHEN applied_at < (SELECT min(applied_at) FROM schema_migrations) + interval '1 minute' THEN 0 ELSE 1 END,
    (SELECT extract(epoch FROM at)::bigint / 60 FROM maintenance WHERE task = 'rollups'))
FROM schema_migrations WHERE name LIKE '%%accepted_counts'
