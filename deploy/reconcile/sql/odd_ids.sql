-- Ids of a client and day that have not exactly one row and one entry in event_ids: an id without a row, a row without an
-- id, or two rows. Index: events_client_time; event_ids' primary keys.
WITH rows AS (
    SELECT event_id, count(*) AS n FROM events
    WHERE client_id = %(client_id)s AND occurred_at >= %(from_at)s AND occurred_at < %(to_at)s GROUP BY 1
), ids AS (
    SELECT event_id FROM event_ids
    WHERE client_id = %(client_id)s AND occurred_at >= %(from_at)s AND occurred_at < %(to_at)s
)
SELECT event_id,
       CASE WHEN rows.n IS NULL THEN 'id without a row' WHEN ids.event_id IS NULL THEN 'row without an id'
            ELSE 'stored ' || rows.n || ' times' END
FROM rows FULL JOIN ids USING (event_id) WHERE rows.n IS DISTINCT FROM 1 OR ids.event_id IS NULL
ORDER BY event_id LIMIT %(most)s
