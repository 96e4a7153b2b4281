-- Cancels an order for its user, and its job (by trigger). One call is one transaction.
-- `key`, `fingerprint` and `key_ttl_hours` are NULL for a request without an Idempotency-Key; see place_orders.
--
-- Returns one row. `outcome` is
--   cancelled        the order is cancelled, by this call or an earlier one. `body` is the order.
--   replayed         the key was used before for the same request: `body` is the reply to that request
--   reused, in-use   as in place_orders: nothing is changed
--   not-found        this user has no such order
--   not-cancellable  the order is neither PENDING nor CANCELLED; `order_status` is its status
-- `changed` is true when this call cancelled the order.
CREATE OR REPLACE FUNCTION cancel_order(
  order_id uuid, user_id uuid, method text, path text, key text, fingerprint bytea, key_ttl_hours integer
) RETURNS TABLE (outcome text, changed boolean, order_status order_status, status integer, headers jsonb, body text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  known  idempotency_keys;
  wanted orders;
BEGIN
  changed := false;

  -- Check the key: lock it until COMMIT, and look for a stored reply.
  IF cancel_order.key IS NOT NULL THEN
    IF cancel_order.method = 'POST' THEN
      RAISE EXCEPTION 'a cancellation cannot have the method POST' USING ERRCODE = 'OM008';
    END IF;
    IF cancel_order.key_ttl_hours NOT BETWEEN 1 AND 8760 THEN
      RAISE EXCEPTION 'a key is kept for 1 to 8760 hours, not %', cancel_order.key_ttl_hours USING ERRCODE = 'OM008';
    END IF;
    IF NOT pg_try_advisory_xact_lock(idempotency_lock(
      cancel_order.user_id, cancel_order.method, cancel_order.path, cancel_order.key)) THEN
      outcome := 'in-use';
    END IF;
    SELECT k.* INTO known FROM idempotency_keys AS k
    WHERE k.user_id = cancel_order.user_id AND k.method = cancel_order.method AND k.path = cancel_order.path
      AND k.key = cancel_order.key AND k.expires_at > now();
    IF FOUND THEN
      outcome := CASE WHEN known.fingerprint = cancel_order.fingerprint THEN 'replayed' ELSE 'reused' END;
      status := known.status;
      headers := known.headers;
      body := known.body::text;
    END IF;
    IF outcome IS NOT NULL THEN
      RETURN NEXT;
      RETURN;
    END IF;
  END IF;

  -- Check the order, and lock it.
  SELECT o.* INTO wanted FROM orders AS o
  WHERE o.id = cancel_order.order_id AND o.user_id = cancel_order.user_id
  FOR NO KEY UPDATE;
  order_status := wanted.status;
  IF NOT FOUND THEN
    outcome := 'not-found';
  ELSIF wanted.status NOT IN ('PENDING', 'CANCELLED') THEN
    outcome := 'not-cancellable';
  END IF;
  IF outcome IS NOT NULL THEN
    RETURN NEXT;
    RETURN;
  END IF;

  -- Cancel the order. The UPDATE fires, in this order: orders_03_require_durable_commit (durable_commits.sql),
  -- orders_10_guard_update (orders_guard.sql: numbers the step), orders_40_cancel_job (orders_handoff.sql: cancels the
  -- job), orders_30_record_change (orders_trail.sql: writes the event and its hash).
  IF wanted.status = 'PENDING' THEN
    UPDATE orders AS o SET status = 'CANCELLED', changed_by = NULL, change_reason = NULL, change_job_id = NULL,
      change_attempt = NULL
    WHERE o.id = wanted.id
    RETURNING o.* INTO wanted;
    changed := true;
  END IF;
  outcome := 'cancelled';
  order_status := wanted.status;
  status := 200;
  headers := '{}';
  body := order_json(wanted);

  -- Store the reply to a request that has a key.
  IF cancel_order.key IS NOT NULL THEN
    INSERT INTO idempotency_keys AS k
      (user_id, method, path, key, fingerprint, status, headers, body, order_id, expires_at)
    VALUES (cancel_order.user_id, cancel_order.method, cancel_order.path, cancel_order.key,
      cancel_order.fingerprint, status, headers, body::json, wanted.id,
      now() + make_interval(hours => cancel_order.key_ttl_hours))
    ON CONFLICT ON CONSTRAINT idempotency_keys_pk DO UPDATE SET
      fingerprint = excluded.fingerprint, status = excluded.status, headers = excluded.headers,
      body = excluded.body, order_id = excluded.order_id, xact_id = excluded.xact_id,
      created_at = excluded.created_at, expires_at = excluded.expires_at
    WHERE k.expires_at <= now();
    IF NOT FOUND THEN
      RAISE EXCEPTION 'an Idempotency-Key was stored by a session that does not hold its lock' USING ERRCODE = 'OM010';
    END IF;
  END IF;
  RETURN NEXT;
END $$;

COMMENT ON FUNCTION cancel_order IS 'Cancels a PENDING order of a user, and its job, for the API.';

ALTER FUNCTION cancel_order OWNER TO oms_door;
