-- The failures noted with entries that were stored before. Index: stored_entries_pkey.
SELECT entry_id, failures FROM stored_entries
WHERE stream = %(stream)s AND entry_id = ANY(%(entry_ids)s::text[]) AND failures IS NOT NULL
