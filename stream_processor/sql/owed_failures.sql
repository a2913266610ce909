-- Entries of a stream whose failures should have reached failed_events by now. Index: stored_entries_owed.
SELECT entry_id, content_crc, failures FROM stored_entries
WHERE owed AND stored_at < now() - make_interval(secs => %(seconds)s) AND stream = %(stream)s
ORDER BY stored_at LIMIT %(rows)s
