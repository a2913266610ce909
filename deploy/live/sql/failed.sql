-- How many failed events wait for a decision. Index: failed_events_once.
SELECT count(*) FROM failed_events
