-- Four counts of a client's stored events and failures that must agree, over all time: rollups outlive the rows.
-- None once the oldest rollups have gone by their own retention: each counts by a time of its own.
-- Index: none, the rollups are read whole.
WITH intake AS (
    SELECT client_id, sum(stored)::bigint AS stored, sum(failed)::bigint AS failed FROM rollup_intake_minute GROUP BY 1
), rolled AS (
    SELECT client_id, sum(events)::bigint AS n FROM rollup_events_minute GROUP BY 1
), latency AS (
    SELECT client_id, sum(events)::bigint AS n FROM rollup_latency_minute GROUP BY 1
), parked AS (
    SELECT client_id, sum(1 + cardinality(later_receipts))::bigint AS n FROM failed_events GROUP BY 1
)
SELECT client_id, coalesce(intake.stored, 0), coalesce(rolled.n, 0), coalesce(latency.n, 0),
       coalesce(intake.failed, 0), coalesce(parked.n, 0)
FROM intake FULL JOIN rolled USING (client_id) FULL JOIN latency USING (client_id) FULL JOIN parked USING (client_id)
WHERE client_id <> '' AND NOT EXISTS (SELECT FROM maintenance WHERE task = 'rollups') AND (%(client_id)s::text IS NULL OR client_id = %(client_id)s)
ORDER BY client_id
