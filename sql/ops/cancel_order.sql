-- Cancels an order that is PENDING, and its job.
--   psql: SELECT ops.cancel_order('…', 'ticket 4712: the customer called');
-- An order that is PROCESSING cannot be cancelled while a worker processes it. When no worker does, first make it
-- PENDING with ops.retry_order.
CREATE OR REPLACE FUNCTION ops.cancel_order(order_id uuid, reason text) RETURNS text LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  locked  record;
  placed  public.orders;
  earlier jsonb;
BEGIN
  -- Lock the order, and check its status.
  PERFORM ops._require_reason(cancel_order.reason);
  SELECT l.* INTO locked FROM ops._lock_order(cancel_order.order_id) AS l;
  placed := locked.placed;
  earlier := ops._order_state(cancel_order.order_id);
  IF placed.status <> 'PENDING' THEN
    RAISE EXCEPTION 'order % is %: only a PENDING order can be cancelled', placed.id, placed.status
      USING ERRCODE = 'OM006',
        HINT = CASE WHEN placed.status IN ('PROCESSING', 'FAILED')
          THEN 'ops.retry_order makes it PENDING. First pause the queue (ops.pause_queue), or a worker takes the order.'
          ELSE 'This status is final.' END;
  END IF;

  -- Cancel it.
  PERFORM ops._cancel_dead_letters(cancel_order.order_id);
  UPDATE public.orders AS o
  SET status = 'CANCELLED', changed_by = 'role:' || session_user, change_reason = cancel_order.reason,
    change_job_id = NULL, change_attempt = NULL
  WHERE o.id = placed.id;

  -- Record the action.
  INSERT INTO public.operator_actions (action, order_id, queue, reason, before, after)
  VALUES ('cancel_order', placed.id, 'process-order', cancel_order.reason, earlier, ops._order_state(placed.id));
  RETURN format('order %s is CANCELLED', placed.id);
END $$;

COMMENT ON FUNCTION ops.cancel_order IS
  'Cancels a PENDING order and its job. Refuses: OM005 unknown, OM006 not PENDING, OM007 locked, OM008 no reason.';

ALTER FUNCTION ops.cancel_order OWNER TO oms_door;
