-- Of ids that were accepted, those that are neither stored nor failed. Index: event_ids' primary keys; failed_events_once.
SELECT event_id FROM unnest(%(event_ids)s::text[]) AS i(event_id)
WHERE NOT EXISTS (SELECT FROM event_ids e WHERE e.client_id = %(client_id)s AND e.event_id = i.event_id)
  AND NOT EXISTS (SELECT FROM failed_events f WHERE f.client_id = %(client_id)s AND f.event_id = i.event_id)
ORDER BY event_id LIMIT %(most)s
