-- I8: no open order is without progress for longer than audit.bound_on_progress().
--   psql: TABLE audit.i8_open_order_makes_progress;
--
-- Progress is a change of the order's status, and these times of its job and its dead letter: when it was enqueued,
-- claimed and ended, its heartbeats, and a later start (the back-off of a retry, a Retry-After). A job that starts
-- later waits as intended. Nothing postpones a job by more than an hour, so an even later start does not count. An
-- order makes no progress while its queue is paused, or while no worker takes its job.
CREATE OR REPLACE VIEW audit.i8_open_order_makes_progress AS
SELECT
  'I8'::text      AS invariant,
  'warning'::text AS severity,
  o.id            AS order_id,
  jsonb_build_object(
    'order_status', o.status,
    'last_progress_at', greatest(o.updated_at, j.progress_at, d.progress_at),
    'job_state', j.state, 'attempts', j.retry_count + 1::bigint, 'dead_letter_state', d.state
  )               AS evidence
FROM orders AS o
LEFT JOIN LATERAL (
  SELECT j.state, j.retry_count,
    greatest(j.created_on, j.started_on, j.heartbeat_on, j.completed_on,
      CASE WHEN j.start_after < now() + interval '61 minutes' THEN j.start_after END) AS progress_at
  FROM pgboss.job AS j
  WHERE j.name = 'process-order' AND j.id = o.id
  LIMIT 1
) AS j ON true
LEFT JOIN LATERAL (
  SELECT d.state, greatest(d.created_on, d.started_on, d.heartbeat_on, d.start_after) AS progress_at
  FROM pgboss.job AS d
  WHERE j.state = 'failed' AND d.name = 'fail-order' AND d.state < 'completed' AND d.data ->> 'order_id' = o.id::text
  LIMIT 1
) AS d ON true
WHERE o.status IN ('PENDING', 'PROCESSING')
  AND o.updated_at < now() - audit.bound_on_progress()
  AND greatest(o.updated_at, j.progress_at, d.progress_at) < now() - audit.bound_on_progress();

COMMENT ON VIEW audit.i8_open_order_makes_progress IS
  'Open orders without progress for longer than audit.bound_on_progress(). Empty is healthy.';
