-- When each task of maintenance was done last, how long it took, and how many partitions past retention it left.
-- Parameters: the tasks. A few rows, found by the primary key.
SELECT task, at, coalesce((detail ->> 'seconds')::float8, 0),
       coalesce((detail ->> 'left')::int, 0)
       + CASE WHEN jsonb_typeof(detail -> 'put_off') = 'array' THEN jsonb_array_length(detail -> 'put_off') ELSE 0 END
FROM maintenance WHERE task = ANY (%s)
