-- The trail: every change of an order leaves a numbered event, chained by its hash to the one before. The triggers
-- are per statement, so one INSERT records however many orders a statement has changed.
--
-- SECURITY DEFINER: who changes orders needs no right to write events.

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

CREATE OR REPLACE FUNCTION orders_record_change() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  xact    xid8 := pg_current_xact_id();
  refused record;
BEGIN
  -- Check: the lifecycle has every step. One that took two steps (its version says so) went by way of PROCESSING.
  SELECT o.id, o.status AS from_status, n.status AS to_status INTO refused
  FROM new_orders AS n
  JOIN old_orders AS o ON o.id = n.id
  WHERE n.status <> o.status
    AND NOT (n.version = o.version + 2 AND o.status = 'PENDING' AND n.status IN ('COMPLETED', 'FAILED'))
    AND NOT EXISTS (
      SELECT FROM order_transitions AS t WHERE t.from_status = o.status AND t.to_status = n.status
    )
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'order % cannot go from % to %', refused.id, refused.from_status, refused.to_status
      USING ERRCODE = 'OM001', HINT = 'TABLE order_transitions lists what is allowed.';
  END IF;

  -- Record the first step of each, then the second step of those that took two. The event before is looked up order
  -- by order: as a join, its plan was made while the table was small, and read the whole of it for every batch.
  WITH first_steps AS (
    INSERT INTO order_events AS e
      (order_id, version, from_status, to_status, actor, reason, job_id, attempt, at, xact_id, hash)
    SELECT c.id, c.version, c.from_status, c.to_status, c.actor, c.change_reason, c.change_job_id, c.change_attempt,
      c.at, xact, order_event_hash_v1(coalesce(c.previous, ''), -- one that is missing is for the audit to tell
        c.id, c.version, c.from_status, c.to_status, c.actor, c.change_reason, c.change_job_id, c.change_attempt,
        c.at, xact)
    FROM (
      SELECT n.id, o.version + 1 AS version, o.status AS from_status,
        CASE WHEN n.version > o.version + 1 THEN 'PROCESSING' ELSE n.status END AS to_status,
        coalesce(n.changed_by, 'user:' || n.user_id) AS actor, n.change_reason, n.change_job_id, n.change_attempt,
        clock_timestamp() AS at,
        (SELECT p.hash FROM order_events AS p WHERE p.order_id = n.id AND p.version = o.version) AS previous
      FROM new_orders AS n
      JOIN old_orders AS o ON o.id = n.id
      WHERE n.status <> o.status
    ) AS c
    RETURNING e.order_id, e.version, e.actor, e.hash
  )
  INSERT INTO order_events
    (order_id, version, from_status, to_status, actor, reason, job_id, attempt, at, xact_id, hash)
  SELECT c.id, c.version, 'PROCESSING', c.status, c.actor, c.change_reason, c.change_job_id, c.change_attempt, c.at,
    xact, order_event_hash_v1(c.hash, c.id, c.version, 'PROCESSING', c.status, c.actor, c.change_reason,
      c.change_job_id, c.change_attempt, c.at, xact)
  FROM (
    SELECT n.id, n.version, n.status, f.actor, n.change_reason, n.change_job_id, n.change_attempt,
      clock_timestamp() AS at, f.hash
    FROM first_steps AS f
    JOIN new_orders AS n ON n.id = f.order_id
    WHERE n.version > f.version
  ) AS c;
  RETURN NULL;
END $$;

-- Only the triggers on orders write events: an INSERT by hand is no more allowed than an UPDATE.
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
COMMENT ON FUNCTION orders_record_change       IS 'Refuses changes that the lifecycle does not have (OM001), and records the others.';
COMMENT ON FUNCTION order_events_refuse_insert IS 'Refuses to write events by hand (OM002).';

ALTER FUNCTION orders_record_placement OWNER TO oms_door;
ALTER FUNCTION orders_record_change OWNER TO oms_door;

CREATE OR REPLACE TRIGGER orders_20_record_placement AFTER INSERT ON orders
  REFERENCING NEW TABLE AS new_orders
  FOR EACH STATEMENT EXECUTE FUNCTION orders_record_placement();

CREATE OR REPLACE TRIGGER orders_30_record_change AFTER UPDATE ON orders
  REFERENCING OLD TABLE AS old_orders NEW TABLE AS new_orders
  FOR EACH STATEMENT EXECUTE FUNCTION orders_record_change();

CREATE OR REPLACE TRIGGER order_events_20_refuse_insert BEFORE INSERT ON order_events
  FOR EACH STATEMENT EXECUTE FUNCTION order_events_refuse_insert();
