-- I2: no job without its order, and one transaction placed both.
--   psql: TABLE audit.i2_job_and_order_are_one_transaction;
--
-- An order, its first event and its job each contain the id of the transaction that wrote them. The view uses GROUP BY
-- instead of a join, because then a condition on order_id can use the index of each table.
CREATE OR REPLACE VIEW audit.i2_job_and_order_are_one_transaction AS
SELECT
  'I2'::text       AS invariant,
  'critical'::text AS severity,
  s.order_id,
  jsonb_build_object(
    'problem', CASE
      WHEN NOT bool_or(s.part = 'order') THEN 'there is no such order'
      WHEN bool_or(NOT s.fits) THEN 'the job names another order'
      ELSE 'not the same transaction'
    END,
    'order_xact_id', max(s.xact_id) FILTER (WHERE s.part = 'order'),
    'event_xact_id', max(s.xact_id) FILTER (WHERE s.part = 'event'),
    'job_xact_id', max(s.xact_id) FILTER (WHERE s.part = 'job'),
    'job_state', max(s.state) FILTER (WHERE s.part = 'job')
  )                AS evidence
FROM (
  SELECT o.id AS order_id, 'order' AS part, o.xact_id::text AS xact_id, true AS fits, NULL::pgboss.job_state AS state
  FROM orders AS o
  UNION ALL
  SELECT e.order_id, 'event', e.xact_id::text, true, NULL
  FROM order_events AS e
  WHERE e.version = 1
  UNION ALL
  SELECT j.id, 'job', j.data ->> 'xact_id', j.data ->> 'order_id' IS NOT DISTINCT FROM j.id::text, j.state
  FROM pgboss.job AS j
  WHERE j.name = 'process-order'
) AS s
GROUP BY s.order_id
HAVING bool_or(s.part = 'job') AND NOT bool_or(s.part = 'order')
  OR bool_or(NOT s.fits)
  OR max(s.xact_id) FILTER (WHERE s.part = 'order') IS DISTINCT FROM max(s.xact_id) FILTER (WHERE s.part = 'event')
     AND bool_or(s.part = 'order') AND bool_or(s.part = 'event') -- I5 reports a missing order or event
  OR max(s.xact_id) FILTER (WHERE s.part = 'order') IS DISTINCT FROM max(s.xact_id) FILTER (WHERE s.part = 'job')
     AND bool_or(s.part = 'job')
     AND bool_or(s.part = 'order')

UNION ALL

-- A dead letter has an id of its own, and its data names the order.
SELECT
  'I2',
  'critical',
  d.order_id,
  jsonb_build_object(
    'problem', CASE WHEN o.id IS NULL THEN 'there is no such order' ELSE 'not the same transaction' END,
    'dead_letter', d.id, 'job_data', d.data, 'order_xact_id', o.xact_id
  )
FROM (
  SELECT j.id, j.data, CASE
    WHEN j.data ->> 'order_id' ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN (j.data ->> 'order_id')::uuid
    ELSE j.id
  END AS order_id
  FROM pgboss.job AS j
  WHERE j.name = 'fail-order'
) AS d
LEFT JOIN LATERAL (
  SELECT o.id, o.xact_id FROM orders AS o WHERE o.id = d.order_id LIMIT 1
) AS o ON true
WHERE o.id IS NULL
  OR d.data ->> 'xact_id' IS DISTINCT FROM o.xact_id::text;

COMMENT ON VIEW audit.i2_job_and_order_are_one_transaction IS
  'Jobs without their order, and orders, first events and jobs not written by one transaction. Empty is healthy.';
