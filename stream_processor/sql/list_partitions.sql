-- The day partitions of events and audit_logs, oldest first: parent, name, range, bytes with indexes, rows as estimated.
-- A bound's text carries its offset, so the session's time zone does not matter. One without two ends has NULL there.
SELECT parent.relname AS parent, c.relname AS name, bounds.bound[1]::timestamptz AS range_start,
       bounds.bound[2]::timestamptz AS range_end, pg_total_relation_size(c.oid) AS bytes,
       greatest(c.reltuples::bigint, pg_stat_get_live_tuples(c.oid), 0) AS rows
FROM pg_inherits i
JOIN pg_class parent ON parent.oid = i.inhparent AND parent.oid IN (to_regclass('events'), to_regclass('audit_logs'))
JOIN pg_class c ON c.oid = i.inhrelid
CROSS JOIN LATERAL (
    SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid), '^FOR VALUES FROM \(''([^'']+)''\) TO \(''([^'']+)''\)$') AS bound
) AS bounds
ORDER BY 3, 1, 2
