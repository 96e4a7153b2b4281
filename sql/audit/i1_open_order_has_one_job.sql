-- I1: every open order has exactly one live job.   psql: TABLE audit.i1_open_order_has_one_job;
--
-- A process-order job is live until it is settled. Once its retries are used up, the dead letter that will set the
-- order FAILED is live instead. A blocked job is not live, because no worker takes it. The view finds the job of each
-- open order by primary key, so the cost depends on the number of open orders and dead letters, not of all orders.
CREATE OR REPLACE VIEW audit.i1_open_order_has_one_job AS
SELECT
  'I1'::text       AS invariant,
  'critical'::text AS severity,
  o.id             AS order_id,
  jsonb_build_object(
    'order_status', o.status,
    'live_jobs', job.live,
    'live_dead_letters', coalesce(dead.live, 0),
    'job_state', (SELECT j.state FROM pgboss.job AS j WHERE j.name = 'process-order' AND j.id = o.id)
  )                AS evidence
FROM orders AS o
CROSS JOIN LATERAL (
  SELECT count(*) AS live
  FROM pgboss.job AS j
  WHERE j.name = 'process-order' AND j.id = o.id AND j.state < 'completed' AND NOT j.blocked
) AS job
LEFT JOIN (
  SELECT j.data ->> 'order_id' AS order_id, count(*) AS live
  FROM pgboss.job AS j
  WHERE j.name = 'fail-order' AND j.state < 'completed' AND NOT j.blocked
  GROUP BY j.data ->> 'order_id'
) AS dead ON dead.order_id = o.id::text
WHERE o.status IN ('PENDING', 'PROCESSING')
  AND job.live + coalesce(dead.live, 0) <> 1;

COMMENT ON VIEW audit.i1_open_order_has_one_job IS
  'Open orders that have no live job, or more than one. Empty is healthy.';
