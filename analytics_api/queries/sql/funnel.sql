-- How many keys came how far through a funnel, and the median time between its steps.
-- Holes: key, NULL where an event has none; flags, for each step whether the event is one; any_step, whether it is any;
--   steps, the CTEs of the second step and those behind it (funnel_step.sql); last, the last of them; chain, the longest
--   chain that ends with the event; other names are bound.
-- Parameters: start, end; client_id or NULL; pick_limit; step_count; window.
-- Order: occurred_at, then event_id. Of the attempts of a key that came furthest, the one that was there first counts.
-- Index: events_client_time in the days of the range, with client_id; without, these days as a whole.
WITH picked AS MATERIALIZED (
    SELECT client_id, {key} AS key, occurred_at, event_id{flags}
    FROM events
    WHERE occurred_at >= %(start)s AND occurred_at < %(end)s
      AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
      AND {any_step}
    LIMIT %(pick_limit)s
), step_1 AS (
    SELECT *, CASE WHEN is_1 THEN ARRAY[occurred_at] END AS chain_1
    FROM picked
    WHERE key IS NOT NULL
){steps}, furthest AS (
    SELECT DISTINCT ON (client_id, key) {chain} AS chain
    FROM {last}
    WHERE {chain} IS NOT NULL
    ORDER BY client_id, key, cardinality({chain}) DESC, occurred_at, event_id
)
SELECT step, count(chain) FILTER (WHERE cardinality(chain) >= step) AS entered,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM chain[step + 1] - chain[step])::float8)
           AS median_seconds,
       (SELECT count(*) FROM picked) AS picked,
       (SELECT count(*) FROM picked WHERE key IS NULL) AS ignored
FROM generate_series(1, %(step_count)s::int) AS step
LEFT JOIN furthest ON true
GROUP BY step
ORDER BY step
