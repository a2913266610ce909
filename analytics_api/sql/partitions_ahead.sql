-- How many days after today (UTC), without a hole, have their partition: 31 at most, -1 when today's is missing.
-- Parameters: none. Looks names up in the catalog only.
SELECT parent AS "table",
       coalesce(min(ahead) FILTER (
           WHERE to_regclass(parent || '_' || to_char((now() AT TIME ZONE 'UTC')::date + ahead, 'YYYYMMDD')) IS NULL
       ), 32) - 1 AS days
FROM unnest(ARRAY['events', 'audit_logs']) AS parent, generate_series(0, 31) AS ahead
GROUP BY parent
