-- Open orders without progress for 5 minutes, and what their job says.   psql: TABLE ops.stuck_orders;
-- Found by way of the jobs that are not over, of which there are few, and not by reading all orders: of
-- each kind (waiting, in hand, given up but not yet dealt with) the 1,000 oldest of open orders are looked
-- at, each in the order of an index. So an open order that has no such job at all is not shown: that is I1
-- of schema audit.
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
    -- A dead letter that is waiting, in hand, or has itself failed: the order's own job has failed, or is gone.
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
  'The 1,000 oldest open orders untouched for 5 minutes, with their job. Empty is healthy. Orders without a job: audit.i1.';
