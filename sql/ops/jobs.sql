-- Returns the error message in the output of a job, whether this service or pg-boss wrote it.
CREATE OR REPLACE FUNCTION ops._error_of(output jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT ops._printable(left(coalesce(output ->> 'message', output -> 'value' ->> 'message', output ->> 'value'), 300))
$$;

COMMENT ON FUNCTION ops._error_of IS 'The error message in the output of a job, printable. Internal to schema ops.';

-- Every job except pg-boss's own, with its order and the worker that runs it.
--   psql: SELECT * FROM ops.jobs WHERE order_id = '…';
--   psql: SELECT * FROM ops.jobs WHERE queue = 'process-order' AND state = 'retry' LIMIT 20;
-- There is one row per job, so use WHERE or LIMIT. Of the data of a job, only the id of the order is shown.
CREATE OR REPLACE VIEW ops.jobs AS
SELECT
  j.queue,
  j.job_id,
  j.state,
  j.order_id,
  o.status AS order_status,
  -- A waiting job has not begun its next attempt.
  least(j.retry_count, 1000000000) + (j.started_on IS NOT NULL)::integer AS attempt,
  least(j.retry_limit, 1000000000) + 1 AS attempts_at_most,
  CASE WHEN j.state = 'active' THEN r.host || ':' || r.pid END AS worker,
  CASE WHEN j.state = 'active' THEN r.worker_id END            AS worker_id,
  CASE WHEN isfinite(j.created_on) THEN date_trunc('second', now() - j.created_on) END AS age,
  j.start_after,
  j.started_on   AS started_at,
  j.heartbeat_on AS heartbeat_at,
  j.completed_on AS ended_at,
  CASE WHEN j.state <> 'completed' THEN ops._error_of(j.output) END AS last_error
FROM (
  -- Three parts, so that a condition on order_id can use another index in each part.
  SELECT j.name AS queue, j.id AS job_id, j.id AS order_id, j.state, j.retry_count, j.retry_limit, j.created_on,
    j.start_after, j.started_on, j.heartbeat_on, j.completed_on, j.output
  FROM pgboss.job AS j
  WHERE j.name = 'process-order'
  UNION ALL
  SELECT j.name, j.id, j.source_root_id, j.state, j.retry_count, j.retry_limit, j.created_on,
    j.start_after, j.started_on, j.heartbeat_on, j.completed_on, coalesce(j.output, j.source_output)
  FROM pgboss.queue AS q
  JOIN pgboss.job AS j ON j.name = q.name
  WHERE j.source_name = 'process-order'
  UNION ALL
  SELECT j.name, j.id, NULL, j.state, j.retry_count, j.retry_limit, j.created_on,
    j.start_after, j.started_on, j.heartbeat_on, j.completed_on, coalesce(j.output, j.source_output)
  FROM pgboss.queue AS q
  JOIN pgboss.job AS j ON j.name = q.name
  WHERE q.name <> 'process-order' AND q.name NOT LIKE '\_\_pgboss\_\_%'
    AND j.source_name IS DISTINCT FROM 'process-order'
) AS j
LEFT JOIN public.orders AS o ON o.id = j.order_id
LEFT JOIN ops._running_jobs AS r
  ON r.queue = j.queue AND r.job_id = j.job_id AND r.attempt = j.retry_count + 1::bigint;

COMMENT ON VIEW ops.jobs IS
  'Every job except pg-boss''s own: order, attempt, worker, age, last error. Use WHERE or LIMIT.';
