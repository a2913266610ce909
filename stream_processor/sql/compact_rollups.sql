-- Adds the next minutes, an hour of rows at most, to the coarser rollups; returns up to where they are added now.
-- Parameters: target.
SELECT compact_rollups(%(target)s)
