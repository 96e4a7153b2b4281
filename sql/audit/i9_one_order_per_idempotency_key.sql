-- I9: one order per idempotency key and one key per order, stored by one transaction.
--   psql: TABLE audit.i9_one_order_per_idempotency_key;
--
-- The key of a POST with the reply 201 names the order that the request created. Any other key names the order that the
-- request changed. Keys are kept for a day by default (IDEMPOTENCY_KEY_TTL_HOURS), so the cost of the view depends on
-- the requests of that time.
CREATE OR REPLACE VIEW audit.i9_one_order_per_idempotency_key AS
SELECT
  'I9'::text       AS invariant,
  'critical'::text AS severity,
  k.order_id,
  jsonb_build_object(
    'problem', CASE
      WHEN o.id IS NULL THEN 'the key''s order does not exist'
      WHEN o.user_id <> k.user_id THEN 'the order belongs to another user'
      WHEN k.body ->> 'id' IS DISTINCT FROM k.order_id::text THEN 'the stored reply names another order'
      WHEN k.is_create AND k.xact_id IS DISTINCT FROM o.xact_id THEN 'key and order are from different transactions'
      ELSE 'two keys created the same order'
    END,
    'user_id', k.user_id, 'method', k.method, 'path', k.path, 'key', k.key,
    'key_xact_id', k.xact_id, 'order_xact_id', o.xact_id, 'stored_id', k.body ->> 'id'
  )                AS evidence
FROM (
  SELECT k.user_id, k.method, k.path, k.key, k.body, k.order_id, k.xact_id, k.is_create,
    count(*) FILTER (WHERE k.is_create) OVER (PARTITION BY k.order_id) AS creators
  FROM (
    SELECT i.user_id, i.method, i.path, i.key, i.body, i.order_id, i.xact_id,
      i.method = 'POST' AND i.status = 201 AS is_create
    FROM idempotency_keys AS i
    WHERE i.order_id IS NOT NULL
  ) AS k
) AS k
LEFT JOIN LATERAL (
  SELECT o.id, o.user_id, o.xact_id FROM orders AS o WHERE o.id = k.order_id LIMIT 1
) AS o ON true
WHERE o.id IS NULL
  OR o.user_id <> k.user_id
  OR k.body ->> 'id' IS DISTINCT FROM k.order_id::text
  OR k.is_create AND (k.xact_id IS DISTINCT FROM o.xact_id OR k.creators > 1);

COMMENT ON VIEW audit.i9_one_order_per_idempotency_key IS
  'Idempotency keys whose order is missing, of another user or transaction, or has two keys. Empty is healthy.';
