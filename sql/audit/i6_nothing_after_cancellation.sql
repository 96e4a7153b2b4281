-- I6: a cancelled order has no event after the cancellation, no completion at all, and no live job.
--   psql: TABLE audit.i6_nothing_after_cancellation;
CREATE OR REPLACE VIEW audit.i6_nothing_after_cancellation AS
SELECT
  'I6'::text       AS invariant,
  'critical'::text AS severity,
  c.order_id,
  jsonb_build_object(
    'problem', 'an event follows the cancellation, or the order was completed',
    'cancelled_version', c.version, 'cancelled_at', c.at, 'events', later.events
  )                AS evidence
FROM order_events AS c
CROSS JOIN LATERAL (
  SELECT jsonb_agg(jsonb_build_object(
    'version', e.version, 'to_status', e.to_status, 'at', e.at, 'actor', e.actor) ORDER BY e.version) AS events
  FROM order_events AS e
  WHERE e.order_id = c.order_id AND (e.version > c.version OR e.to_status = 'COMPLETED')
) AS later
WHERE c.to_status = 'CANCELLED' AND later.events IS NOT NULL

UNION ALL

SELECT
  'I6',
  'critical',
  j.id,
  jsonb_build_object('problem', 'its job has not ended', 'job_state', j.state, 'order_status', o.status)
FROM pgboss.job AS j
CROSS JOIN LATERAL (
  SELECT o.status FROM orders AS o WHERE o.id = j.id LIMIT 1
) AS o
WHERE j.name = 'process-order' AND j.state < 'completed' AND o.status = 'CANCELLED';

COMMENT ON VIEW audit.i6_nothing_after_cancellation IS
  'Cancelled orders with a later event, a completion or a live job. Empty is healthy.';
