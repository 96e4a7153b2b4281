-- I4: the order of a completed job is COMPLETED or FAILED. The job of a COMPLETED order is completed, and that of a
-- FAILED order has ended. One transaction completed the job and ended the order.
--   psql: TABLE audit.i4_completed_job_has_effect;
--
-- The view identifies that transaction by xmin: Postgres stores with each row the id of the transaction that wrote it.
-- Nothing rewrites the row of a completed job. Inside a savepoint, xmin is the id of the subtransaction. So the xmin of
-- the job must equal either the xmin of the event, or the low 32 bits of the transaction id that the event records. A
-- restore from pg_dump writes all rows again: the view lists jobs from before the restore until they are deleted, after
-- a day.
CREATE OR REPLACE VIEW audit.i4_completed_job_has_effect AS
SELECT
  'I4'::text       AS invariant,
  'critical'::text AS severity,
  j.id             AS order_id,
  jsonb_build_object(
    'problem', CASE
      WHEN j.state <> 'completed' THEN 'the order has ended, its job is not completed'
      WHEN o.status IN ('COMPLETED', 'FAILED') THEN 'order and job were ended by different transactions'
      ELSE 'the job is completed, its order has not ended'
    END,
    'order_status', o.status, 'job_state', j.state, 'job_completed_on', j.completed_on,
    'job_xmin', j.xmin::text, 'event_xmin', e.xmin::text, 'event_xact_id', e.xact_id
  )                AS evidence
FROM pgboss.job AS j
CROSS JOIN LATERAL (
  SELECT o.status, o.version FROM orders AS o WHERE o.id = j.id LIMIT 1
) AS o
LEFT JOIN LATERAL (
  SELECT e.xmin, e.xact_id, e.job_id FROM order_events AS e WHERE e.order_id = j.id AND e.version = o.version LIMIT 1
) AS e ON true
WHERE j.name = 'process-order'
  AND (
    j.state = 'completed' AND o.status NOT IN ('COMPLETED', 'FAILED')
    OR j.state <> 'completed' AND o.status = 'COMPLETED'
    OR j.state < 'completed' AND o.status = 'FAILED'
    OR j.state = 'completed'
       AND (o.status = 'COMPLETED' OR e.job_id = j.id)
       AND j.xmin <> e.xmin
       AND j.xmin::text::bigint <> (e.xact_id::text::numeric % 4294967296)::bigint
  );

COMMENT ON VIEW audit.i4_completed_job_has_effect IS
  'Completed jobs whose order has not ended, ended orders whose job has not, and both by different transactions. '
  'Empty is healthy.';
