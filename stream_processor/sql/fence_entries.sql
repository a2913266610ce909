-- Claims entries for this transaction; returns the ids that no committed transaction has stored. Waits for a concurrent
-- transaction that writes the same entry. Sorted ids: no deadlock. Index: stored_entries_pkey.
INSERT INTO stored_entries (stream, entry_id, content_crc)
SELECT %(stream)s, entry_id, content_crc
FROM unnest(%(entry_ids)s::text[], %(crcs)s::int4[]) AS e(entry_id, content_crc)
ORDER BY entry_id COLLATE "C", content_crc
ON CONFLICT DO NOTHING RETURNING entry_id
