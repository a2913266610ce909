-- Events that are both stored and failed. Index: event_ids' primary keys, once for each failed event.
SELECT f.client_id, f.event_id FROM failed_events f JOIN event_ids e USING (client_id, event_id)
WHERE %(client_id)s::text IS NULL OR f.client_id = %(client_id)s
ORDER BY 1, 2 LIMIT %(most)s
