-- Open orders whose status has not changed for 5 minutes, with the state of their job.   psql: TABLE ops.stuck_orders;
-- The view does not read all orders. It starts from the jobs that have not ended, because they are few. Of each kind
-- (waiting, active, dead letter) it takes the first 1,000 jobs of open orders, in the order of an index. So it does not
-- show an open order that has no such job: audit.i1_open_order_has_one_job does.
CREATE OR REPLACE VIEW ops.stuck_orders AS
SELECT
  stuck.order_id,
  stuck.status,
  date_trunc('second', now() - stuck.updated_at)    AS stuck_for,
  stuck.state                                       AS job_state,
  stuck.retry_count || '/' || stuck.retry_limit     AS job_tries,
  stuck.start_after                                 AS job_start_after,
  ops._error_of(stuck.output)                       AS job_error
FROM (
  SELECT o.id AS order_id, o.status, o.updated_at, j.state, j.retry_count, j.retry_limit, j.start_after, j.output
  FROM (
    (SELECT j.id, j.state, j.retry_count, j.retry_limit, j.start_after, j.output
     FROM pgboss.job AS j JOIN public.orders AS open ON open.id = j.id AND open.status IN ('PENDING', 'PROCESSING')
     WHERE j.name = 'process-order' AND j.state < 'active' AND NOT j.blocked
     ORDER BY j.priority DESC, j.created_on LIMIT 1000)
    UNION ALL
    (SELECT j.id, j.state, j.retry_count, j.retry_limit, j.start_after, j.output
     FROM pgboss.job AS j JOIN public.orders AS open ON open.id = j.id AND open.status IN ('PENDING', 'PROCESSING')
     WHERE j.name = 'process-order' AND j.state = 'active'
     ORDER BY j.blocked, j.start_after LIMIT 1000)
    UNION ALL
    -- Dead letters that wait, are active or have failed themselves: the order's own job has failed, or is missing.
    SELECT letter.order_id, j.state, j.retry_count, j.retry_limit, j.start_after, j.output
    FROM (
      (SELECT d.source_root_id AS order_id
       FROM pgboss.job AS d
       JOIN public.orders AS open ON open.id = d.source_root_id AND open.status IN ('PENDING', 'PROCESSING')
       WHERE d.name = 'fail-order' AND d.state < 'active' AND NOT d.blocked
       ORDER BY d.priority DESC, d.created_on LIMIT 1000)
      UNION
      (SELECT d.source_root_id
       FROM pgboss.job AS d
       JOIN public.orders AS open ON open.id = d.source_root_id AND open.status IN ('PENDING', 'PROCESSING')
       WHERE d.name = 'fail-order' AND d.state IN ('active', 'failed') LIMIT 1000)
    ) AS letter
    LEFT JOIN pgboss.job AS j ON j.name = 'process-order' AND j.id = letter.order_id
    WHERE j.id IS NULL OR j.state = 'failed'
  ) AS j
  JOIN public.orders AS o ON o.id = j.id
  WHERE o.status IN ('PENDING', 'PROCESSING')
    AND o.updated_at < now() - interval '5 minutes'
  ORDER BY o.updated_at
  LIMIT 1000
) AS stuck
ORDER BY stuck.updated_at;

COMMENT ON VIEW ops.stuck_orders IS
  'Up to 1,000 open orders without a change for 5 minutes, with their job. Empty is healthy. '
  'audit.i1_open_order_has_one_job shows those without a job.';
