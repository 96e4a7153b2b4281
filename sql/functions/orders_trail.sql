-- The trail: every change of an order leaves a numbered event. The hash of an event covers the hash of the event before
-- it. The triggers run once per statement, so one INSERT records a step of all orders that the statement changed.
--
-- The functions are SECURITY DEFINER, so a role that changes orders needs no right to write events.

-- Records event 1 of each new order. Its hash covers the content of the order.
CREATE OR REPLACE FUNCTION orders_record_placement() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO order_events (order_id, version, to_status, actor, reason, at, xact_id, hash)
  SELECT n.id, n.version, n.status, n.actor, n.change_reason, n.at, n.xact_id, order_event_hash_v1(
    order_content_hash_v1(
      n.id, n.user_id, n.product_name, n.amount, n.currency, n.metadata, n.created_at, n.xact_id),
    n.id, n.version, NULL, n.status, n.actor, n.change_reason, NULL, NULL, n.at, n.xact_id)
  FROM (
    SELECT new_orders.*, coalesce(changed_by, 'user:' || user_id) AS actor, clock_timestamp() AS at
    FROM new_orders
  ) AS n;
  RETURN NULL;
END $$;

-- Records each step of each change of status.
CREATE OR REPLACE FUNCTION orders_record_change() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  xact    xid8 := pg_current_xact_id();
  refused record;
BEGIN
  -- Check that the lifecycle allows every change. A change of two steps (order_steps) goes through PROCESSING.
  SELECT n.id, n.changed_from, n.status INTO refused
  FROM new_orders AS n
  WHERE n.changed_from IS NOT NULL AND order_steps(n.changed_from, n.status) = 1
    AND NOT EXISTS (
      SELECT FROM order_transitions AS t WHERE t.from_status = n.changed_from AND t.to_status = n.status
    )
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'order % cannot go from % to %', refused.id, refused.changed_from, refused.status
      USING ERRCODE = 'OM001', HINT = 'TABLE order_transitions lists what is allowed.';
  END IF;

  -- Record the first step of each change. When the event before it is missing, the hash covers '' instead, and the
  -- audit reports the event.
  INSERT INTO order_events
    (order_id, version, from_status, to_status, actor, reason, job_id, attempt, at, xact_id, hash)
  SELECT c.id, c.version, c.from_status, c.to_status, c.actor, c.reason, c.job_id, c.attempt, c.at, xact,
    order_event_hash_v1(coalesce(c.previous, ''), c.id, c.version, c.from_status, c.to_status, c.actor, c.reason,
      c.job_id, c.attempt, c.at, xact)
  FROM (
    SELECT n.id, n.version - n.steps + 1 AS version, n.changed_from AS from_status,
      CASE n.steps WHEN 1 THEN n.status ELSE 'PROCESSING' END AS to_status,
      coalesce(n.changed_by, 'user:' || n.user_id) AS actor, n.change_reason AS reason, n.change_job_id AS job_id,
      n.change_attempt AS attempt, clock_timestamp() AS at, (
        SELECT e.hash FROM order_events AS e WHERE e.order_id = n.id AND e.version = n.version - n.steps
      ) AS previous
    FROM (
      SELECT id, user_id, status, version, changed_from, changed_by, change_reason, change_job_id, change_attempt,
        order_steps(changed_from, status) AS steps
      FROM new_orders
      WHERE changed_from IS NOT NULL
    ) AS n
  ) AS c;

  -- Record the second step of each change that takes two.
  INSERT INTO order_events
    (order_id, version, from_status, to_status, actor, reason, job_id, attempt, at, xact_id, hash)
  SELECT c.id, c.version, 'PROCESSING', c.to_status, c.actor, c.reason, c.job_id, c.attempt, c.at, xact,
    order_event_hash_v1(c.previous, c.id, c.version, 'PROCESSING', c.to_status, c.actor, c.reason,
      c.job_id, c.attempt, c.at, xact)
  FROM (
    SELECT n.id, n.version, n.status AS to_status, coalesce(n.changed_by, 'user:' || n.user_id) AS actor,
      n.change_reason AS reason, n.change_job_id AS job_id, n.change_attempt AS attempt, clock_timestamp() AS at, (
        SELECT e.hash FROM order_events AS e WHERE e.order_id = n.id AND e.version = n.version - 1
      ) AS previous
    FROM new_orders AS n
    WHERE n.changed_from IS NOT NULL AND order_steps(n.changed_from, n.status) = 2
  ) AS c;
  RETURN NULL;
END $$;

-- Only the triggers on orders write events. An INSERT by hand is refused, as refuse_change refuses an UPDATE.
CREATE OR REPLACE FUNCTION order_events_refuse_insert() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF pg_trigger_depth() < 2 THEN
    RAISE EXCEPTION 'order_events is written by the triggers on orders: INSERT refused'
      USING ERRCODE = 'OM002';
  END IF;
  RETURN NULL;
END $$;

COMMENT ON FUNCTION orders_record_placement    IS 'Records the placement of orders in order_events.';
COMMENT ON FUNCTION orders_record_change       IS
  'Refuses changes that the lifecycle does not allow (OM001), and records all others in order_events.';
COMMENT ON FUNCTION order_events_refuse_insert IS 'Refuses an INSERT by hand (OM002).';

ALTER FUNCTION orders_record_placement OWNER TO oms_door;
ALTER FUNCTION orders_record_change OWNER TO oms_door;

CREATE OR REPLACE TRIGGER orders_20_record_placement AFTER INSERT ON orders
  REFERENCING NEW TABLE AS new_orders
  FOR EACH STATEMENT EXECUTE FUNCTION orders_record_placement();

CREATE OR REPLACE TRIGGER orders_30_record_change AFTER UPDATE ON orders
  REFERENCING NEW TABLE AS new_orders
  FOR EACH STATEMENT EXECUTE FUNCTION orders_record_change();

CREATE OR REPLACE TRIGGER order_events_20_refuse_insert BEFORE INSERT ON order_events
  FOR EACH STATEMENT EXECUTE FUNCTION order_events_refuse_insert();
