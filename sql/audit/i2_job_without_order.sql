-- I2: no job without its order, and the same transaction id on both.   psql: TABLE audit.i2_job_without_order;
CREATE VIEW audit.i2_job_without_order AS
SELECT
  'I2'::text       AS invariant,
  'critical'::text AS severity,
  j.id             AS order_id,
  jsonb_build_object('job_id', j.id, 'job_state', j.state, 'job_data', j.data, 'order_xact_id', o.xact_id) AS evidence
FROM pgboss.job AS j
LEFT JOIN orders AS o ON o.id = j.id
WHERE j.name = 'process-order'
  AND (o.id IS NULL OR j.data ->> 'xact_id' IS DISTINCT FROM o.xact_id::text);
