-- As measure.sql, but only the groups of most events are told apart; all others are one group, the rest, which tells how many
-- groups it stands for.
-- Parameters: also top; present, the first bucket of the period that ranks the groups.
-- Ties: more events in both periods, then event_type, client_id, and the value's text, ascending by code points.
WITH picked AS MATERIALIZED (
    SELECT {types} AS event_type, {clients} AS client_id, {values} AS value,
           width_bucket(occurred_at, %(starts)s::timestamptz[]) - 1 AS bucket{columns}
    FROM events
    WHERE occurred_at >= %(start)s AND occurred_at < %(end)s
      AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
      AND (%(event_type)s::text IS NULL OR event_type = %(event_type)s)
      AND {conditions}
), ranked AS (
    SELECT event_type, client_id, value, count(*) OVER () AS all_groups
    FROM picked
    GROUP BY event_type, client_id, value
    ORDER BY count(*) FILTER (WHERE bucket >= %(present)s) DESC, count(*) DESC, event_type, client_id,
             value::text COLLATE "C"
    LIMIT %(top)s
)
SELECT ranked.event_type, ranked.client_id, ranked.value::text AS value,
       CASE WHEN ranked.all_groups IS NULL THEN (SELECT max(all_groups) FROM ranked) - %(top)s::int ELSE 0 END AS rest_of,
       bucket, count(*) AS count{aggregates}
FROM picked
LEFT JOIN ranked ON ranked.event_type = picked.event_type AND ranked.client_id = picked.client_id
    AND ranked.value = picked.value
GROUP BY ranked.event_type, ranked.client_id, ranked.value, ranked.all_groups, bucket
LIMIT %(row_limit)s
