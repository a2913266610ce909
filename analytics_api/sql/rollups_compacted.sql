-- Up to when minutes are added to the rollups by hour and day, in seconds since 1970. Parameters: none.
SELECT extract(epoch FROM compacted_until)::float8 FROM rollup_progress
