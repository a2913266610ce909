-- The failures noted with entries that were stored before. Index: stored_entries_pkey.
SELECT entry_id, failures FROM stored_entries
JOIN unnest(%(entry_ids)s::text[], %(crcs)s::int4[]) AS e(entry_id, content_crc) USING (entry_id, content_crc)
WHERE stream = %(stream)s AND failures IS NOT NULL
