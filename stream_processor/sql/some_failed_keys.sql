-- Keys of failed events, at most so many; there are none, as a rule. Parameter: how many. Index: failed_events_once.
SELECT client_id, event_id FROM failed_events WHERE event_id IS NOT NULL LIMIT %s
