-- Dead letters: jobs whose retries are used up, with the last error.   psql: TABLE ops.dead_letters;
-- Shows the newest 1,000 of each dead-letter queue. `handled` is the state of the dead letter: completed once the order
-- has ended, usually as FAILED. ops.redrive('process-order') tries the FAILED orders again.
CREATE OR REPLACE VIEW ops.dead_letters AS
SELECT
  j.id                       AS job_id,
  j.name                     AS queue,
  j.source_name              AS from_queue,
  o.id                       AS order_id,
  o.status                   AS order_status,
  j.state                    AS handled,
  least(j.source_retry_count, 1000000000) + 1   AS attempts,
  CASE WHEN isfinite(j.created_on) THEN date_trunc('second', now() - j.created_on) END AS age,
  ops._error_of(j.source_output) AS last_error
FROM (SELECT DISTINCT q.dead_letter FROM pgboss.queue AS q WHERE q.dead_letter IS NOT NULL) AS dlq
CROSS JOIN LATERAL (
  SELECT j.id, j.name, j.source_name, j.source_root_id, j.state, j.source_retry_count, j.created_on, j.source_output
  FROM pgboss.job AS j
  WHERE j.name = dlq.dead_letter
  ORDER BY j.created_on DESC
  LIMIT 1000
) AS j
LEFT JOIN public.orders AS o ON j.source_name = 'process-order' AND o.id = j.source_root_id
ORDER BY j.created_on DESC;

COMMENT ON VIEW ops.dead_letters IS
  'The newest 1,000 dead letters of each dead-letter queue, with their order. '
  'ops.redrive(''process-order'') tries the FAILED orders again.';
