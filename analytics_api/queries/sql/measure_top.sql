-- As measure.sql, but only the groups of most events are told apart; all others are one group, the rest.
-- Parameters: also top; present, the first bucket of the period that ranks the groups.
-- Ties: event_type, client_id, then the value's text, ascending by code points.
WITH picked AS MATERIALIZED (
    SELECT {types} AS event_type, {clients} AS client_id, {values} AS value,
           width_bucket(occurred_at, %(starts)s::timestamptz[]) - 1 AS bucket{columns}
    FROM events
    WHERE occurred_at >= %(start)s AND occurred_at < %(end)s
      AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
      AND (%(event_type)s::text IS NULL OR event_type = %(event_type)s)
      AND {conditions}
), ranked AS (
    SELECT event_type, client_id, value, true AS is_ranked
    FROM picked
    WHERE bucket >= %(present)s
    GROUP BY event_type, client_id, value
    ORDER BY count(*) DESC, event_type, client_id, value::text COLLATE "C"
    LIMIT %(top)s
)
SELECT ranked.event_type, ranked.client_id, ranked.value::text AS value, ranked.is_ranked IS NULL AS is_rest, bucket,
       count(*) AS count{aggregates}
FROM picked
LEFT JOIN ranked ON ranked.event_type = picked.event_type AND ranked.client_id = picked.client_id
    AND ranked.value = picked.value
GROUP BY ranked.event_type, ranked.client_id, ranked.value, ranked.is_ranked, bucket
LIMIT %(row_limit)s
