-- After insert_new_ids passed some over: the places, from 1, of the ids that this transaction did not insert. A row that
-- it inserted carries its transaction id; inside a savepoint that would be another, so there insert_ids serves.
-- Parameters: arrays of client_id and event_id, in binary. Index: the primary keys of event_ids' partitions.
SELECT i.place
FROM unnest(%b::text[], %b::text[]) WITH ORDINALITY AS i(client_id, event_id, place)
JOIN event_ids e USING (client_id, event_id)
WHERE e.xmin <> pg_current_xact_id()::xid
