-- The triggers behind every change of an order, at a fraction of their cost. What they refuse and what they
-- write, hashes included, is the same, and so is what older processes meet.
--
-- New is only that one UPDATE can take an order through a status: with oms.via set to 'PROCESSING',
-- PENDING → COMPLETED counts as PENDING → PROCESSING → COMPLETED. Both steps have to be allowed, and both
-- are numbered and on record. A row that is written once instead of twice costs half.
--
-- Locks: replaces functions, and sets how full pages get from now on, under a lock that keeps only vacuum and
-- other DDL waiting, for an instant. Older processes go on.

-- Room for the one new version that nearly every row gets soon after it was placed: the update then stays on
-- the page, and touches no index (heap-only).
ALTER TABLE orders SET (fillfactor = 50);

-- Numbers the steps, and keeps what must not change. Whether a step is allowed is asked of all orders of a
-- statement at once, in orders_record_change.
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

  -- Byte by byte (*<>): 34.9 and 34.90 are equal, in metadata too, and hash differently.
  IF ROW(NEW.id, NEW.user_id, NEW.product_name, NEW.amount, NEW.currency, NEW.metadata, NEW.created_at)::record
     OPERATOR(pg_catalog.*<>)
     ROW(OLD.id, OLD.user_id, OLD.product_name, OLD.amount, OLD.currency, OLD.metadata, OLD.created_at)::record
  THEN
    RAISE EXCEPTION 'order %: what was ordered cannot be changed', OLD.id
      USING ERRCODE = 'OM004', HINT = 'Cancel it and place another: ops.cancel_order, place_order.';
  END IF;
  NEW.version := OLD.version;
  NEW.xact_id := OLD.xact_id;
  IF NEW.status <> OLD.status THEN
    -- Two steps, if it goes via a third status.
    NEW.version := OLD.version + CASE
      WHEN nullif(current_setting('oms.via', true), '') NOT IN (OLD.status::text, NEW.status::text) THEN 2
      ELSE 1
    END;
    NEW.updated_at := clock_timestamp();
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION order_step_refused(order_id uuid, from_status order_status, to_status order_status)
RETURNS order_status LANGUAGE plpgsql STABLE AS $$
BEGIN
  RAISE EXCEPTION 'order % cannot go from % to %', order_id, from_status, to_status
    USING ERRCODE = 'OM001', HINT = 'TABLE order_transitions lists what is allowed.';
END $$;

-- Refuses what the lifecycle does not have, and records the rest. The event before is looked up order by
-- order: as a join, its plan was made while the table was small, and read the whole of it for every batch.
CREATE OR REPLACE FUNCTION orders_record_change() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  -- Read once, here: in the statement below it would be once per order.
  via      order_status := nullif(current_setting('oms.via', true), '');
  acting   text         := order_actor(NULL); -- NULL: the user of each order
  because  text         := nullif(current_setting('oms.reason', true), '');
  attempts jsonb        := nullif(current_setting('oms.attempts', true), '');
  xact     xid8         := pg_current_xact_id();
BEGIN
  INSERT INTO order_events
    (order_id, version, from_status, to_status, actor, reason, job_id, attempt, at, xact_id, hash)
  SELECT c.id, step.version, step.from_status,
    CASE WHEN EXISTS (
      SELECT FROM order_transitions AS t WHERE t.from_status = step.from_status AND t.to_status = step.to_status
    ) THEN step.to_status ELSE order_step_refused(c.id, step.from_status, step.to_status) END,
    c.actor, because, c.job_id, c.attempt, step.at, xact, step.hash
  FROM (
    SELECT c.*, order_event_hash(coalesce(c.previous, ''), -- one that is missing is for the audit to tell
      c.id, c.first_version, c.from_status, c.first_status, c.actor, because, c.job_id, c.attempt, c.first_at, xact
    ) AS first_hash
    FROM (
      SELECT n.id, o.version + 1 AS first_version, n.version AS last_version, o.status AS from_status,
        CASE WHEN n.version > o.version + 1 THEN via ELSE n.status END AS first_status, n.status AS last_status,
        coalesce(acting, 'user:' || n.user_id) AS actor,
        (attempts -> n.id::text ->> 0)::uuid AS job_id,
        (attempts -> n.id::text ->> 1)::integer AS attempt,
        clock_timestamp() AS first_at, clock_timestamp() AS last_at,
        (SELECT p.hash FROM order_events AS p WHERE p.order_id = n.id AND p.version = o.version) AS previous
      FROM new_orders AS n
      JOIN old_orders AS o USING (id)
      WHERE n.status <> o.status
    ) AS c
    OFFSET 0 -- not merged into the query around it, which would compute the hash twice
  ) AS c
  CROSS JOIN LATERAL (
    SELECT c.first_version AS version, c.from_status, c.first_status AS to_status, c.first_at AS at,
      c.first_hash AS hash
    UNION ALL
    SELECT c.last_version, c.first_status, c.last_status, c.last_at, order_event_hash(c.first_hash,
      c.id, c.last_version, c.first_status, c.last_status, c.actor, because, c.job_id, c.attempt, c.last_at, xact)
    WHERE c.last_version > c.first_version
  ) AS step;
  RETURN NULL;
END $$;
