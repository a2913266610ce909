-- Days that were taken out of their parent and not yet dropped: somebody died between.
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND NOT c.relispartition
  AND c.relname ~ '^expired_(events|audit_logs)_\d{8}_\d+$'
ORDER BY 1
