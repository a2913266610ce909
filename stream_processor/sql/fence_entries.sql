-- Claims entries for this transaction; returns the ids that no committed transaction has stored. Waits for a concurrent
-- transaction that writes the same entry. Sorted ids: no deadlock. Index: stored_entries_pkey.
INSERT INTO stored_entries (stream, entry_id)
SELECT %(stream)s, entry_id FROM unnest(%(entry_ids)s::text[]) AS e(entry_id) ORDER BY entry_id COLLATE "C"
ON CONFLICT DO NOTHING RETURNING entry_id
