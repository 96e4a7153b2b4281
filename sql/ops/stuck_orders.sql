-- Open orders without progress for 5 minutes, and what their job says.   psql: TABLE ops.stuck_orders;
-- Found by way of the jobs that are not over, of which there are few, and not by reading all orders: of
-- each kind (waiting, in hand, given up but not yet dealt with) the 1,000 oldest are looked at. So an open
-- order that has no such job at all is not shown here: that is I1 of schema audit.
CREATE VIEW ops.stuck_orders AS
SELECT
  o.id                                       AS order_id,
  o.status,
  date_trunc('second', now() - o.updated_at) AS stuck_for,
  j.state                                    AS job_state,
  j.retry_count || '/' || j.retry_limit      AS job_tries,
  j.start_after                              AS job_start_after,
  ops._error_of(j.output) AS job_error
FROM (
  (SELECT j.id FROM pgboss.job AS j
   WHERE j.name = 'process-order' AND j.state < 'active' AND NOT j.blocked
   ORDER BY j.priority DESC, j.created_on LIMIT 1000)
  UNION
  (SELECT j.id FROM pgboss.job AS j
   WHERE j.name = 'process-order' AND j.state = 'active'
   ORDER BY j.started_on LIMIT 1000)
  UNION
  (SELECT j.source_root_id FROM pgboss.job AS j
   WHERE j.name = 'fail-order' AND j.state < 'active' AND NOT j.blocked
   ORDER BY j.priority DESC, j.created_on LIMIT 1000)
  UNION
  (SELECT j.source_root_id FROM pgboss.job AS j
   WHERE j.name = 'fail-order' AND j.state IN ('active', 'failed')
   LIMIT 1000)
) AS candidates (order_id)
JOIN public.orders AS o ON o.id = candidates.order_id
LEFT JOIN pgboss.job AS j ON j.name = 'process-order' AND j.id = o.id
WHERE o.status IN ('PENDING', 'PROCESSING')
  AND o.updated_at < now() - interval '5 minutes'
ORDER BY o.updated_at
LIMIT 1000;

COMMENT ON VIEW ops.stuck_orders IS
  'The 1,000 oldest open orders untouched for 5 minutes, with their job. Empty is healthy. Orders without a job: audit.i1.';
