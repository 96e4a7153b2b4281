-- The promise, kept by the database: no order commits without its job, every change leaves a numbered
-- and chained event, and both name the transaction that they belong to.
--
-- Locks: adds columns, then fills in the hashes of the events that are there, under an exclusive lock on
-- orders and order_events: about 10 s for a million events. Stop API and workers for it.

ALTER TABLE orders
  ADD COLUMN xact_id xid8,           -- NULL: placed before transaction ids were recorded
  -- What a client can be told: neither infinity nor the years before 1970 and after 9999.
  ADD CONSTRAINT orders_created_at_ck CHECK (created_at >= '1970-01-01' AND created_at < '10000-01-01');

ALTER TABLE order_events
  ADD COLUMN job_id  uuid,           -- NULL unless a worker acted
  ADD COLUMN attempt integer,        -- likewise
  ADD COLUMN xact_id xid8,           -- NULL: as in orders
  ADD COLUMN hash    bytea;

-- Serves the incremental audit, and ops.queues. Events come in the order of time, so a few pages suffice.
CREATE INDEX order_events_at_ix ON order_events USING brin (at) WITH (pages_per_range = 32);

-- The first link of an order's chain: what was ordered, which never changes. docs/audit.md says how to
-- compute both hashes elsewhere.
CREATE FUNCTION order_content_hash(
  id uuid, user_id uuid, product_name text, amount numeric, currency text, metadata jsonb,
  created_at timestamptz, xact_id xid8
) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT sha256(convert_to(json_build_array(
    id, user_id, product_name, amount::text, currency, metadata::text,
    extract(epoch FROM created_at)::text, xact_id::text
  )::text, 'UTF8'))
$$;

-- The hash of an event: its content, chained to the event before it, or to the order for the first.
CREATE FUNCTION order_event_hash(
  previous bytea, order_id uuid, version integer, from_status order_status, to_status order_status,
  actor text, reason text, job_id uuid, attempt integer, at timestamptz, xact_id xid8
) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT sha256(previous || convert_to(json_build_array(
    order_id, version, from_status, to_status, actor, reason, job_id, attempt,
    extract(epoch FROM at)::text, xact_id::text
  )::text, 'UTF8'))
$$;

ALTER TABLE order_events DISABLE TRIGGER order_events_10_refuse_change;
DO $$
DECLARE
  v integer := 1;
BEGIN
  UPDATE order_events AS e
  SET hash = order_event_hash(
    order_content_hash(o.id, o.user_id, o.product_name, o.amount, o.currency, o.metadata, o.created_at, o.xact_id),
    e.order_id, e.version, e.from_status, e.to_status, e.actor, e.reason, e.job_id, e.attempt, e.at, e.xact_id)
  FROM orders AS o
  WHERE o.id = e.order_id AND e.version = 1;
  WHILE FOUND LOOP
    v := v + 1;
    UPDATE order_events AS e
    SET hash = order_event_hash(
      p.hash,
      e.order_id, e.version, e.from_status, e.to_status, e.actor, e.reason, e.job_id, e.attempt, e.at, e.xact_id)
    FROM order_events AS p
    WHERE p.order_id = e.order_id AND p.version = v - 1 AND e.version = v;
  END LOOP;
END $$;
ALTER TABLE order_events ENABLE TRIGGER order_events_10_refuse_change;
ALTER TABLE order_events ALTER COLUMN hash SET NOT NULL;

-- As before, and: what was ordered stays as it was, and the placing transaction is on record.
CREATE OR REPLACE FUNCTION orders_guard_status() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.status <> 'PENDING' THEN
      RAISE EXCEPTION 'order % cannot be placed as %: an order starts PENDING', NEW.id, NEW.status
        USING ERRCODE = 'OM001';     -- OM: this application's SQLSTATE class; src/http/problem.ts maps it
    END IF;
    NEW.version := 1;
    NEW.xact_id := pg_current_xact_id();
    NEW.updated_at := now();
    RETURN NEW;
  END IF;

  -- As text: 34.9 and 34.90 are equal, in metadata too, and hash differently.
  IF (NEW.id, NEW.user_id, NEW.product_name, NEW.amount::text, NEW.currency, NEW.metadata::text, NEW.created_at)
     IS DISTINCT FROM
     (OLD.id, OLD.user_id, OLD.product_name, OLD.amount::text, OLD.currency, OLD.metadata::text, OLD.created_at)
  THEN
    RAISE EXCEPTION 'order %: what was ordered cannot be changed', OLD.id
      USING ERRCODE = 'OM004', HINT = 'Cancel it and place another: ops.cancel_order, place_order.';
  END IF;
  NEW.version := OLD.version;
  NEW.xact_id := OLD.xact_id;
  IF NEW.status = OLD.status THEN
    RETURN NEW;
  END IF;
  IF NOT EXISTS (
    SELECT FROM order_transitions AS t
    WHERE t.from_status = OLD.status AND t.to_status = NEW.status
  ) THEN
    RAISE EXCEPTION 'order % cannot go from % to %', OLD.id, OLD.status, NEW.status
      USING ERRCODE = 'OM001', HINT = 'TABLE order_transitions lists what is allowed.';
  END IF;
  NEW.version := OLD.version + 1;
  NEW.updated_at := clock_timestamp();
  RETURN NEW;
END $$;

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

CREATE OR REPLACE FUNCTION orders_record_change() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  -- Parsed once, here: in the statement below it would be once per order.
  attempts jsonb := nullif(current_setting('oms.attempts', true), '')::jsonb;
BEGIN
  INSERT INTO order_events
    (order_id, version, from_status, to_status, actor, reason, job_id, attempt, at, xact_id, hash)
  SELECT n.id, n.version, n.from_status, n.status, n.actor, n.reason, n.job_id, n.attempt, n.at, n.change_xact_id,
    order_event_hash(coalesce(p.hash, ''), -- one that is missing is for the audit to tell
      n.id, n.version, n.from_status, n.status, n.actor, n.reason, n.job_id, n.attempt, n.at, n.change_xact_id)
  FROM (
    SELECT n.id, n.version, o.status AS from_status, n.status, order_actor(n.user_id) AS actor,
      nullif(current_setting('oms.reason', true), '') AS reason,
      (attempts -> n.id::text ->> 0)::uuid AS job_id,
      (attempts -> n.id::text ->> 1)::integer AS attempt,
      clock_timestamp() AS at, pg_current_xact_id() AS change_xact_id
    FROM new_orders AS n
    JOIN old_orders AS o USING (id)
    WHERE n.status <> o.status
  ) AS n
  LEFT JOIN order_events AS p ON p.order_id = n.id AND p.version = n.version - 1;
  RETURN NULL;
END $$;

-- Only the triggers on orders write events: an INSERT by hand is no more allowed than an UPDATE.
CREATE FUNCTION order_events_refuse_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF pg_trigger_depth() < 2 THEN
    RAISE EXCEPTION 'order_events is written by the triggers on orders: INSERT refused'
      USING ERRCODE = 'OM002';
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER order_events_20_refuse_insert BEFORE INSERT ON order_events
  FOR EACH STATEMENT EXECUTE FUNCTION order_events_refuse_insert();

-- Cancelling an order, by whichever way, takes its job back in the same transaction.
CREATE FUNCTION orders_cancel_jobs() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  UPDATE pgboss.job AS j SET state = 'cancelled', completed_on = pgboss.job_now()
  FROM new_orders AS n
  WHERE j.name = 'process-order' AND j.id = n.id AND j.state < 'completed'
    AND n.status = 'CANCELLED';
  RETURN NULL;
END $$;

CREATE TRIGGER orders_40_cancel_jobs AFTER UPDATE ON orders
  REFERENCING NEW TABLE AS new_orders
  FOR EACH STATEMENT EXECUTE FUNCTION orders_cancel_jobs();

-- Asked at COMMIT, of every transaction that has made an order PENDING: is its job there? For a new
-- order the job must also be due, and name this very transaction, so that it cannot have come from
-- another one. Only an order that has ended within the transaction needs none.
CREATE FUNCTION orders_require_job() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF EXISTS (
    SELECT FROM pgboss.job AS j
    WHERE j.name = 'process-order' AND j.id = NEW.id AND j.state < 'completed' AND NOT j.blocked
      AND j.data ->> 'order_id' = NEW.id::text
      AND (TG_OP = 'UPDATE' OR (
        j.data ->> 'xact_id' = NEW.xact_id::text
        AND j.state = 'created' AND j.start_after <= now() AND j.keep_until > now()
      ))
  ) OR NOT EXISTS (
    SELECT FROM orders AS o WHERE o.id = NEW.id AND o.status IN ('PENDING', 'PROCESSING')
  ) THEN
    RETURN NULL;
  END IF;
  RAISE EXCEPTION 'order % has no job in queue process-order that is due, so nobody would ever process it', NEW.id
    USING ERRCODE = 'OM003',
      HINT = CASE TG_OP
        WHEN 'INSERT' THEN 'SELECT place_order(user_id, product_name, amount) stores both.'
        ELSE 'SELECT ops.retry_order(order_id, reason) puts it back together with its job.'
      END;
END $$;

CREATE CONSTRAINT TRIGGER orders_50_require_job AFTER INSERT OR UPDATE OF status ON orders
  DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (NEW.status = 'PENDING') EXECUTE FUNCTION orders_require_job();

-- uuid v7 (RFC 9562, 5.7), which Postgres itself has from 18 on.
CREATE FUNCTION uuid_v7() RETURNS uuid LANGUAGE sql VOLATILE AS $$
  SELECT encode(set_bit(set_bit(
    overlay(
      uuid_send(gen_random_uuid())
      PLACING substring(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
      FROM 1 FOR 6
    ), 52, 1), 53, 1), 'hex')::uuid
$$;

-- Gives an order its job, with the settings of the queue, as pg-boss 12.38 would.
CREATE FUNCTION enqueue_order(order_id uuid, xact_id xid8) RETURNS void LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO pgboss.job (
    id, name, data, retry_limit, retry_delay, retry_backoff, retry_delay_max, expire_seconds,
    deletion_seconds, keep_until, policy, dead_letter, heartbeat_seconds
  )
  SELECT order_id, q.name, jsonb_strip_nulls(jsonb_build_object('order_id', order_id, 'xact_id', xact_id::text)),
    q.retry_limit, q.retry_delay, q.retry_backoff, q.retry_delay_max, q.expire_seconds,
    q.deletion_seconds, now() + q.retention_seconds * interval '1 second', q.policy, q.dead_letter,
    q.heartbeat_seconds
  FROM pgboss.queue AS q
  WHERE q.name = 'process-order';
END $$;

-- Places an order from SQL, with its job, as POST /orders does. Returns the id.
--   psql: SELECT place_order((SELECT id FROM users WHERE email = 'ada@example.com'), 'Kettle', 34.90);
CREATE FUNCTION place_order(
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
COMMENT ON COLUMN orders.xact_id         IS 'Transaction that placed it: the same as in its first event and in its job''s data.';
COMMENT ON COLUMN order_events.xact_id   IS 'Transaction that made the change.';
COMMENT ON COLUMN order_events.job_id    IS 'The job that a worker did it for.';
COMMENT ON COLUMN order_events.attempt   IS 'Which attempt of that job, from 1.';
COMMENT ON COLUMN order_events.hash      IS 'sha256 over the event and its predecessor''s hash: order_event_hash().';
