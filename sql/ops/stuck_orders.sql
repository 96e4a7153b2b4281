-- Open orders without progress for 5 minutes, and what their job says.   psql: TABLE ops.stuck_orders;
CREATE VIEW ops.stuck_orders AS
SELECT
  o.id                                       AS order_id,
  o.status,
  date_trunc('second', now() - o.updated_at) AS stuck_for,
  j.state                                    AS job_state,
  j.retry_count || '/' || j.retry_limit      AS job_tries,
  j.start_after                              AS job_start_after,
  j.output ->> 'message'                     AS job_error
FROM orders AS o
LEFT JOIN pgboss.job AS j ON j.name = 'process-order' AND j.id = o.id
WHERE o.status IN ('PENDING', 'PROCESSING')
  AND o.updated_at < now() - interval '5 minutes'
ORDER BY o.updated_at;

COMMENT ON VIEW ops.stuck_orders IS
  'Open orders untouched for 5 minutes, with their process-order job. Empty is healthy.';
