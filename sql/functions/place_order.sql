-- Places an order from SQL, with its job, as POST /orders does. Returns the id.
--   psql: SELECT place_order((SELECT id FROM users WHERE email = 'ada@example.com'), 'Kettle', 34.90);
CREATE OR REPLACE FUNCTION place_order(
  user_id uuid, product_name text, amount numeric, currency text DEFAULT 'USD',
  metadata jsonb DEFAULT '{}'
) RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  placed orders;
BEGIN
  -- On record is the role that has called, whatever it has set before.
  PERFORM set_config('oms.actor', '', true), set_config('oms.reason', '', true);
  INSERT INTO orders (id, user_id, product_name, amount, currency, metadata)
  VALUES (uuid_v7(), place_order.user_id, place_order.product_name, place_order.amount,
    place_order.currency, place_order.metadata)
  RETURNING * INTO placed;
  PERFORM enqueue_order(placed.id, placed.xact_id);
  RETURN placed.id;
END $$;

COMMENT ON FUNCTION place_order          IS 'Places an order together with its job. Returns its id.';
