-- Measures by group and bucket, from the events themselves.
-- Holes: conditions on payload; types, clients, values, what the events are grouped by ('' or JSON's null where it is not asked);
--   columns, what the measures are of, and aggregates over them; other names are bound.
-- Parameters: start, end; client_id, event_type or NULL; starts, the first moments of the buckets of both periods,
--   ascending, the first not behind the start; row_limit.
-- Index: events_client_time in the days of the range, with client_id; without, these days as a whole.
WITH picked AS (
    SELECT {types} AS event_type, {clients} AS client_id, {values} AS value,
           width_bucket(occurred_at, %(starts)s::timestamptz[]) - 1 AS bucket{columns}
    FROM events
    WHERE occurred_at >= %(start)s AND occurred_at < %(end)s
      AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
      AND (%(event_type)s::text IS NULL OR event_type = %(event_type)s)
      AND {conditions}
)
SELECT event_type, client_id, value::text AS value, 0 AS rest_of, bucket, count(*) AS count{aggregates}
FROM picked
GROUP BY picked.event_type, picked.client_id, picked.value, bucket
LIMIT %(row_limit)s
