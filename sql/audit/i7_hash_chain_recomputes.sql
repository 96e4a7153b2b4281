-- I7: the hash of every event equals the hash that is computed from its content and the hash of the event before it.
-- The first event is chained to the content of the order.   psql: TABLE audit.i7_hash_chain_recomputes;
CREATE OR REPLACE VIEW audit.i7_hash_chain_recomputes AS
SELECT
  'I7'::text       AS invariant,
  'critical'::text AS severity,
  s.order_id,
  jsonb_build_object(
    'problem', CASE
      WHEN s.previous IS NULL THEN 'there is no such order'
      WHEN s.version = 1 THEN 'the content of the order, or its first event, was changed'
      ELSE 'the event, or the hash before it, was changed'
    END,
    'version', s.version, 'hash', encode(s.hash, 'hex'), 'computed', encode(s.computed, 'hex')
  )                AS evidence
FROM (
  SELECT c.order_id, c.version, c.hash, c.previous, order_event_hash_v1(
    c.previous,
    c.order_id, c.version, c.from_status, c.to_status, c.actor, c.reason, c.job_id, c.attempt, c.at, c.xact_id
  ) AS computed
  FROM (
    SELECT e.order_id, e.version, e.from_status, e.to_status, e.actor, e.reason, e.job_id, e.attempt, e.at,
      e.xact_id, e.hash,
      coalesce(lag(e.hash) OVER (PARTITION BY e.order_id ORDER BY e.version), (
        SELECT order_content_hash_v1(
          o.id, o.user_id, o.product_name, o.amount, o.currency, o.metadata, o.created_at, o.xact_id)
        FROM orders AS o
        WHERE o.id = e.order_id
      )) AS previous
    FROM order_events AS e
  ) AS c
) AS s
WHERE s.previous IS NULL OR s.hash <> s.computed;

COMMENT ON VIEW audit.i7_hash_chain_recomputes IS
  'Events and orders that were changed after they were written. Empty is healthy.';
