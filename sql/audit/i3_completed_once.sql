-- I3: an order ends at most once. It is completed or failed by an attempt of a job: the one that completed the job.
--   psql: TABLE audit.i3_completed_once;
--
-- An order may end again only after an operator has set it from FAILED to PENDING.
CREATE OR REPLACE VIEW audit.i3_completed_once AS
SELECT
  'I3'::text       AS invariant,
  'critical'::text AS severity,
  e.order_id,
  jsonb_build_object(
    'problem', CASE
      WHEN count(*) FILTER (WHERE e.to_status = 'COMPLETED') > 1 THEN 'completed more than once'
      WHEN bool_or(e.to_status IN ('COMPLETED', 'FAILED') AND e.attempt IS NULL) THEN 'ended by no attempt of a job'
      ELSE 'ended more than once'
    END,
    'ends', jsonb_agg(jsonb_build_object(
      'version', e.version, 'to_status', e.to_status, 'actor', e.actor,
      'job_id', e.job_id, 'attempt', e.attempt, 'xact_id', e.xact_id
    ) ORDER BY e.version)
  )                AS evidence
FROM order_events AS e
WHERE e.to_status IN ('COMPLETED', 'CANCELLED', 'FAILED') OR e.from_status = 'FAILED'
GROUP BY e.order_id
HAVING count(*) FILTER (WHERE e.to_status = 'COMPLETED') > 1
  OR bool_or(e.to_status IN ('COMPLETED', 'FAILED')
    AND (e.job_id IS NULL OR e.attempt IS NULL))
  OR count(*) FILTER (WHERE e.to_status IN ('COMPLETED', 'CANCELLED', 'FAILED'))
     - count(*) FILTER (WHERE e.from_status = 'FAILED' AND e.to_status = 'PENDING') > 1

UNION ALL

-- Until the job is deleted, after a day, its retry_count names the attempt that completed it.
SELECT
  'I3',
  'critical',
  j.id,
  jsonb_build_object(
    'problem', 'the job and the order were completed by different attempts',
    'version', e.version, 'to_status', e.to_status, 'job_id', e.job_id, 'attempt', e.attempt,
    'attempt_of_the_job', j.retry_count + 1::bigint
  )
FROM pgboss.job AS j
CROSS JOIN LATERAL (
  SELECT e.version, e.to_status, e.job_id, e.attempt
  FROM order_events AS e
  WHERE e.order_id = j.id
  ORDER BY e.version DESC
  LIMIT 1
) AS e
WHERE j.name = 'process-order'
  AND j.state = 'completed'
  AND (e.to_status = 'COMPLETED' AND e.job_id IS NOT NULL OR e.to_status = 'FAILED' AND e.job_id = j.id)
  AND (e.job_id, e.attempt) IS DISTINCT FROM (j.id, j.retry_count + 1::bigint);

COMMENT ON VIEW audit.i3_completed_once IS
  'Orders that ended more than once, or not by the attempt that the trail records. Empty is healthy.';
