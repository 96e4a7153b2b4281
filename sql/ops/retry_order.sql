-- Tries an order again, now: FAILED or PROCESSING → PENDING, with a job that is due and all its retries.
--   psql: SELECT ops.retry_order('…', 'ticket 4711: warehouse API is back');
-- A PENDING order whose job has failed, waits for its back-off or is gone gets its job in the same way. Not:
-- an order that is over (OM006), or that a living worker has in hand (OM007).
CREATE OR REPLACE FUNCTION ops.retry_order(order_id uuid, reason text) RETURNS text LANGUAGE sql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT ops._put_back(retry_order.order_id, 'retry_order', retry_order.reason)
$$;

COMMENT ON FUNCTION ops.retry_order IS
  'Tries a FAILED or hung order again, now. Refuses: OM005 unknown, OM006 over or due already, OM007 in hand, OM008 no reason.';
