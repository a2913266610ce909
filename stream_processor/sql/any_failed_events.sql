-- Whether any event of a producer is given up; there are none, as a rule. Index: failed_events_once.
SELECT EXISTS (SELECT FROM failed_events WHERE event_id IS NOT NULL)
