-- Notes with an entry what is still to be moved to the dead stream (msgpack), and from there to failed_events.
-- Index: stored_entries_pkey.
UPDATE stored_entries SET failures = %(failures)s, owed = true
WHERE stream = %(stream)s AND entry_id = %(entry_id)s AND content_crc = %(crc)s
