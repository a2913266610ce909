-- Failures noted with the fence that have not reached failed_events: if Redis lost the entry, nothing else knows of them.
ALTER TABLE stored_entries ADD COLUMN owed boolean;
COMMENT ON COLUMN stored_entries.owed IS 'Whether the failures are still to be written to failed_events; false once they are; NULL where there are none, and in rows of releases that did not note it.';
-- Serves: what is owed, the oldest first.
CREATE INDEX stored_entries_owed ON stored_entries (stored_at) WHERE owed;
