-- Locks an order and its job, in the order in which workers do, and never waits: unknown is OM005, locked by
-- somebody else OM007. The job is all NULL when it is gone.
CREATE OR REPLACE FUNCTION ops._lock_order(order_id uuid, OUT placed public.orders, OUT job pgboss.job) LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  SELECT o.* INTO placed FROM public.orders AS o WHERE o.id = _lock_order.order_id FOR NO KEY UPDATE NOWAIT;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no order %', order_id USING ERRCODE = 'OM005';
  END IF;
  SELECT j.* INTO job FROM pgboss.job AS j
  WHERE j.name = 'process-order' AND j.id = _lock_order.order_id FOR UPDATE NOWAIT;
EXCEPTION WHEN lock_not_available THEN
  RAISE EXCEPTION 'order % or its job is locked by another transaction, most likely a worker that is at it', order_id
    USING ERRCODE = 'OM007', HINT = 'Nothing was changed. Try again in a moment.';
END $$;

COMMENT ON FUNCTION ops._lock_order IS 'Locks an order and its job without waiting. Internal to schema ops.';
