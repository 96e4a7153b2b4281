-- SECURITY DEFINER, here and below: who changes orders needs no right to write events or jobs. A worker
-- sets oms.attempts to {"<order id>": ["<job id>", <attempt>]}.
CREATE OR REPLACE FUNCTION orders_record_placement() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO order_events (order_id, version, to_status, actor, reason, at, xact_id, hash)
  SELECT n.id, n.version, n.status, n.actor, n.reason, n.at, n.xact_id, order_event_hash(
    order_content_hash(
      n.id, n.user_id, n.product_name, n.amount, n.currency, n.metadata, n.created_at, n.xact_id),
    n.id, n.version, NULL, n.status, n.actor, n.reason, NULL, NULL, n.at, n.xact_id)
  FROM (
    SELECT new_orders.*, order_actor(user_id) AS actor,
      nullif(current_setting('oms.reason', true), '') AS reason, clock_timestamp() AS at
    FROM new_orders
  ) AS n;
  RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER orders_20_record_placement AFTER INSERT ON orders
  REFERENCING NEW TABLE AS new_orders
  FOR EACH STATEMENT EXECUTE FUNCTION orders_record_placement();
