-- COMMIT refuses an order without its job. A PENDING order must have a job that a worker will take. The job of a new
-- order must be made by the same transaction, with the settings of its queue.
--
-- Of our triggers, COMMIT runs the deferred ones: those of two files. This file checks each order that became PENDING
-- (orders_50_require_job). order_jobs_guard.sql checks each job and each dead letter that was settled, blocked or
-- deleted: an order that is still open must have another one. It also checks each new dead letter, which must be the
-- only one of its order. Both files refuse with OM003.
--
-- place_orders writes jobs first and orders second, so one check per statement is enough for its orders. Other
-- writers may write them in either order, so each of their orders is checked when the transaction commits.

-- Whether an order has a job that a worker will take. For a new order, `placed_by` is the transaction that places it;
-- then the job must also be made by that transaction, and be due at once. ORDER BY and LIMIT make the planner use the
-- primary key. A plan is made once per connection, often while the queue is empty, when the planner prefers a scan of
-- all jobs.
CREATE OR REPLACE FUNCTION order_has_job(order_id uuid, placed_by xid8) RETURNS boolean LANGUAGE sql STABLE
SET search_path = public, pg_temp SET enable_seqscan = off SET enable_sort = off AS $$
  SELECT EXISTS (
    SELECT FROM (
      SELECT id, state, blocked, data, start_after, keep_until, retry_count, retry_limit, expire_seconds, dead_letter
      FROM order_jobs
      WHERE id >= order_has_job.order_id
      ORDER BY name, id
      LIMIT 1
    ) AS j, pgboss.queue AS q
    WHERE q.name = 'process-order'
      AND j.id = order_has_job.order_id AND j.data ->> 'order_id' = j.id::text
      AND j.state < 'completed' AND NOT j.blocked
      AND j.dead_letter = q.dead_letter AND j.expire_seconds = q.expire_seconds
      AND j.retry_limit - j.retry_count >= q.retry_limit
      AND (placed_by IS NULL OR (
        j.data ->> 'xact_id' = placed_by::text
        AND j.state = 'created' AND j.start_after <= now() AND j.keep_until > now()
      ))
  )
$$;

-- Checks one order.
CREATE OR REPLACE FUNCTION orders_require_job() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  -- An order that the same transaction has ended needs no job.
  IF order_has_job(NEW.id, CASE TG_OP WHEN 'INSERT' THEN NEW.xact_id END) OR NOT EXISTS (
    SELECT FROM orders AS o WHERE o.id = NEW.id AND o.status IN ('PENDING', 'PROCESSING')
  ) THEN
    RETURN NULL;
  END IF;
  RAISE EXCEPTION 'order % has no valid job in queue process-order: it is missing, ended, blocked or has wrong values',
      NEW.id
    USING ERRCODE = 'OM003',
      HINT = CASE TG_OP
        WHEN 'INSERT' THEN 'SELECT place_order(user_id, product_name, amount) stores an order with its job.'
        ELSE 'SELECT ops.retry_order(order_id, reason) puts it back together with its job.'
      END;
END $$;

-- Checks all orders of one call of place_orders: the columns that orders_guard_insert sets for other writers, and the
-- jobs. Runs with the rights and the planner's settings of place_orders.
CREATE OR REPLACE FUNCTION orders_check_placed() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
  refused record;
BEGIN
  IF current_user <> 'oms_placer' THEN -- cheaper than a WHEN, which Postgres prepares anew for each statement
    RETURN NULL;
  END IF;
  SELECT n.id, n.is_new, n.amount, n.currency, scale(n.amount) IS NOT DISTINCT FROM c.decimals AS is_money INTO refused
  FROM pgboss.queue AS q
  CROSS JOIN (
    SELECT id, xact_id, amount, currency, (
      status = 'PENDING' AND version = 1 AND xact_id = pg_current_xact_id() AND created_at = now()
      AND updated_at = now() AND num_nonnulls(changed_from, change_job_id, change_attempt) = 0
    ) AS is_new
    FROM new_orders
  ) AS n
  LEFT JOIN currencies AS c ON c.code = n.currency
  LEFT JOIN LATERAL (
    SELECT id, state, blocked, data, start_after, keep_until, retry_count, retry_limit, expire_seconds, dead_letter
    FROM order_jobs
    WHERE id >= n.id
    ORDER BY name, id
    LIMIT 1
  ) AS j ON true
  WHERE q.name = 'process-order'
    AND (
      n.is_new AND scale(n.amount) = c.decimals
      AND j.id = n.id AND j.data ->> 'order_id' = n.id::text AND j.data ->> 'xact_id' = n.xact_id::text
      AND j.state = 'created' AND NOT j.blocked AND j.start_after <= now() AND j.keep_until > now()
      AND j.dead_letter = q.dead_letter AND j.expire_seconds = q.expire_seconds
      AND j.retry_count = 0 AND j.retry_limit = q.retry_limit
    ) IS NOT TRUE
  LIMIT 1;
  IF NOT FOUND THEN
    RETURN NULL;
  ELSIF NOT refused.is_new THEN
    RAISE EXCEPTION 'order % was not placed as a new PENDING order of this transaction', refused.id
      USING ERRCODE = 'OM001';
  ELSIF NOT refused.is_money THEN
    RAISE EXCEPTION '% % is not a valid amount: unknown currency, or more decimals than the currency has',
        refused.amount, refused.currency
      USING ERRCODE = '23514', CONSTRAINT = 'orders_amount_ck', HINT = 'TABLE currencies lists the known currencies.';
  ELSE
    RAISE EXCEPTION 'order % was placed without a valid job: it is missing, not due, or has wrong values', refused.id
      USING ERRCODE = 'OM003';
  END IF;
END $$;

-- A transaction that cancels an order also cancels its job, whichever statement it uses.
CREATE OR REPLACE FUNCTION orders_cancel_job() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  UPDATE order_jobs AS j SET state = 'cancelled', completed_on = pgboss.job_now()
  WHERE j.id = NEW.id AND j.state < 'completed';
  RETURN NULL;
END $$;

COMMENT ON FUNCTION order_has_job       IS 'Whether an order has a job that a worker will take.';
COMMENT ON FUNCTION orders_require_job  IS
  'At COMMIT: refuses a PENDING order without a job that a worker will take (OM003).';
COMMENT ON FUNCTION orders_check_placed IS
  'After the INSERT of place_orders: refuses orders that are not new (OM001), have a wrong amount, or no job (OM003).';
COMMENT ON FUNCTION orders_cancel_job   IS 'Cancels the job of an order that was cancelled.';

ALTER FUNCTION orders_require_job OWNER TO oms_door;
ALTER FUNCTION orders_cancel_job OWNER TO oms_door;

CREATE OR REPLACE TRIGGER orders_25_check_placed AFTER INSERT ON orders
  REFERENCING NEW TABLE AS new_orders
  FOR EACH STATEMENT EXECUTE FUNCTION orders_check_placed();

CREATE OR REPLACE TRIGGER orders_40_cancel_job AFTER UPDATE OF status ON orders
  FOR EACH ROW WHEN (NEW.status = 'CANCELLED') EXECUTE FUNCTION orders_cancel_job();

CREATE CONSTRAINT TRIGGER orders_50_require_job AFTER INSERT OR UPDATE OF status ON orders
  DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (NEW.status = 'PENDING' AND current_user::text <> 'oms_placer')
  EXECUTE FUNCTION orders_require_job();
