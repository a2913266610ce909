-- Of ids that were there before, the places, from 1, of those whose payload differs from the first one's.
-- Index: event_ids' primary keys.
SELECT i.place
FROM unnest(%(client_ids)s::text[], %(event_ids)s::text[], %(crcs)s::int4[])
    WITH ORDINALITY AS i(client_id, event_id, payload_crc, place)
JOIN event_ids e USING (client_id, event_id)
WHERE e.payload_crc <> i.payload_crc
