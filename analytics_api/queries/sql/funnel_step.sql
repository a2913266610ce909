-- One more step of funnel.sql: the chains that this step ends, each the times of its steps.
-- Of several chains it could go on from, the one that began last leaves most of the window, and so decides whether there is
-- one at all; arrays compare by their first difference, so max() finds it, and of those that began together the one whose
-- next steps are the latest.
, {step} AS (
    SELECT *, CASE WHEN {flag} AND occurred_at - (max({before}) OVER earlier)[1] <= %(window)s::interval
                   THEN max({before}) OVER earlier || occurred_at END AS {chain}
    FROM {previous}
    WINDOW earlier AS (PARTITION BY client_id, key ORDER BY occurred_at, event_id
                       ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
)
