-- I5: the events of an order are numbered from 1 without gaps. The lifecycle allows each change. Each change starts at
-- the status at which the change before it ended. The last event has the status and the version of the order.
--   psql: TABLE audit.i5_events_tell_the_status;
--
-- The view adds the order itself as one more row after its events, so one pass of a window checks everything.
CREATE OR REPLACE VIEW audit.i5_events_tell_the_status AS
SELECT
  'I5'::text       AS invariant,
  'critical'::text AS severity,
  s.order_id,
  jsonb_build_object(
    'problem', CASE
      WHEN s.is_last AND NOT s.is_order THEN 'the order is gone, or older than its last event'
      WHEN s.previous_version IS NULL AND s.is_order THEN 'there is no event'
      WHEN s.version <> coalesce(s.previous_version, 0) + 1 THEN 'an event is missing or repeated'
      WHEN s.from_status IS DISTINCT FROM s.previous_status AND s.is_order THEN 'the order has another status'
      WHEN s.from_status IS DISTINCT FROM s.previous_status THEN 'it does not start at the status of the event before'
      ELSE 'the lifecycle has no such change'
    END,
    'found_at', CASE WHEN s.is_order THEN 'order' ELSE 'event' END,
    'version', CASE WHEN s.is_order THEN s.version - 1 ELSE s.version END,
    'from_status', CASE WHEN NOT s.is_order THEN s.from_status END,
    'to_status', CASE WHEN s.is_order THEN s.from_status ELSE s.to_status END,
    'previous_version', s.previous_version,
    'previous_status', s.previous_status
  )                AS evidence
FROM (
  SELECT e.order_id, e.version, e.from_status, e.to_status, e.is_order,
    lag(e.version) OVER w   AS previous_version,
    lag(e.to_status) OVER w AS previous_status,
    lead(true) OVER w IS NULL AS is_last
  FROM (
    SELECT e.order_id, e.version, e.from_status, e.to_status, false AS is_order
    FROM order_events AS e
    UNION ALL
    SELECT o.id, o.version + 1, o.status, NULL, true
    FROM orders AS o
  ) AS e
  WINDOW w AS (PARTITION BY e.order_id ORDER BY e.version, e.is_order)
) AS s
WHERE s.version <> coalesce(s.previous_version, 0) + 1
  OR s.from_status IS DISTINCT FROM s.previous_status
  OR s.is_last <> s.is_order
  OR s.previous_version IS NULL AND s.to_status IS DISTINCT FROM 'PENDING'
  OR s.previous_version IS NOT NULL AND NOT s.is_order
     AND (s.from_status, s.to_status) NOT IN (SELECT t.from_status, t.to_status FROM order_transitions AS t);

COMMENT ON VIEW audit.i5_events_tell_the_status IS
  'Orders whose events have gaps, illegal changes, or another last status than the order. Empty is healthy.';
