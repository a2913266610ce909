-- Of entries that a stream holds, those whose transaction committed. Index: stored_entries_pkey.
SELECT entry_id FROM stored_entries WHERE stream = %(stream)s AND entry_id = ANY(%(entry_ids)s::text[])
