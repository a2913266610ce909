-- Says of entries that their failures are written to failed_events, in the transaction that writes them; returns the places,
-- from 1, of those of which that was said before: theirs must not be counted again. Who does the same at once is waited for.
-- Index: stored_entries_pkey.
WITH input AS MATERIALIZED (
    SELECT * FROM unnest(%(streams)s::text[], %(entry_ids)s::text[], %(crcs)s::int4[])
        WITH ORDINALITY AS i(stream, entry_id, content_crc, place)
), paid AS (
    UPDATE stored_entries s SET owed = false FROM input i
    WHERE s.stream = i.stream AND s.entry_id = i.entry_id AND s.content_crc = i.content_crc AND s.owed
    RETURNING i.place
)
SELECT i.place FROM input i JOIN stored_entries s USING (stream, entry_id, content_crc)
WHERE s.owed IS NOT NULL AND i.place NOT IN (SELECT place FROM paid)
