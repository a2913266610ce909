-- Cohorts of keys by the period of their first event, and how many of each came back in which period.
-- Holes: key, NULL where an event has none; is_first and is_return, what the event may be; other names are bound.
-- Parameters: start, end; client_id or NULL; starts, the first moments of the periods, the first not behind the start;
--   pick_limit.
-- Order: occurred_at, then event_id. A return is an event behind the first one, in that order.
-- Index: events_client_time in the days of the range, with client_id; without, these days as a whole.
-- Rows: period NULL is the cohort's size; cohort NULL is the number of events that were read, and those without a key.
WITH picked AS MATERIALIZED (
    SELECT client_id, {key} AS key, occurred_at, event_id, {is_first} IS TRUE AS is_first, {is_return} IS TRUE AS is_return,
           width_bucket(occurred_at, %(starts)s::timestamptz[]) - 1 AS period
    FROM events
    WHERE occurred_at >= %(start)s AND occurred_at < %(end)s
      AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
      AND ({is_first} OR {is_return})
    LIMIT %(pick_limit)s
), firsts AS (
    SELECT DISTINCT ON (client_id, key) client_id, key, occurred_at, event_id, period AS cohort
    FROM picked
    WHERE is_first AND key IS NOT NULL
    ORDER BY client_id, key, occurred_at, event_id
), returns AS (
    SELECT DISTINCT firsts.client_id, firsts.key, firsts.cohort, picked.period
    FROM firsts
    JOIN picked ON picked.client_id = firsts.client_id AND picked.key = firsts.key
    WHERE picked.is_return AND (picked.occurred_at, picked.event_id) > (firsts.occurred_at, firsts.event_id)
)
SELECT cohort, NULL::int AS period, count(*) AS number FROM firsts GROUP BY cohort
UNION ALL
SELECT cohort, period - cohort, count(*) FROM returns GROUP BY cohort, period
UNION ALL
SELECT NULL, 0, count(*) FROM picked
UNION ALL
SELECT NULL, 1, count(*) FROM picked WHERE key IS NULL
