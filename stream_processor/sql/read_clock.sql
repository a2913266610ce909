-- PostgreSQL's time, the last one that a leader of maintenance saw, and when the clock leapt to, if it did.
SELECT clock_timestamp(), seen.at, (seen.detail ->> 'leapt_at')::timestamptz
FROM (VALUES (1)) AS one LEFT JOIN maintenance AS seen ON seen.task = 'clock'
