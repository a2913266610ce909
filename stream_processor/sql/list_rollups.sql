-- The rollup tables: all that are named so and have a bucket_start.
SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'bucket_start'
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname ~ '^rollup_[a-z_]+$'
ORDER BY 1
