-- Deletes a chunk of a stream's rows that no entry can need any more: older than some days (a processor that hung may wake
-- with its batch; one with failures, than a month), of entries before the stream's first one. What is owed stays.
-- Index: stored_entries_age.
DELETE FROM stored_entries WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM stored_entries
    WHERE stored_at < now() - make_interval(hours => 24 * %(keep_days)s)
      AND (failures IS NULL OR stored_at < now() - interval '30 days')
      AND owed IS NOT true
      AND stream = %(stream)s
      AND split_part(entry_id, '-', 1)::numeric < %(first_ms)s
    ORDER BY stored_at LIMIT %(rows)s))
