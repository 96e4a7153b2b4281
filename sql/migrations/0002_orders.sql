-- Orders, the rules of their lifecycle, and the trail that every change leaves.
--
-- The lifecycle lives here rather than in TypeScript so that a correction typed into psql at 3 a.m.
-- obeys the same rules, and leaves the same trail, as a request through the API.
--
-- Locks: creates new objects only; safe to run while older processes are serving traffic.

CREATE TYPE order_status AS ENUM ('PENDING', 'PROCESSING', 'COMPLETED', 'CANCELLED', 'FAILED');

CREATE TABLE orders (
  id           uuid         NOT NULL,
  status       order_status NOT NULL DEFAULT 'PENDING',  -- second, so a bare SELECT shows it next to the id
  version      integer      NOT NULL DEFAULT 1,
  user_id      uuid         NOT NULL,
  product_name text         NOT NULL,
  amount       numeric      NOT NULL,
  currency     text         NOT NULL DEFAULT 'USD',
  metadata     jsonb        NOT NULL DEFAULT '{}',
  created_at   timestamptz  NOT NULL DEFAULT now(),
  updated_at   timestamptz  NOT NULL DEFAULT now(),

  CONSTRAINT orders_pk              PRIMARY KEY (id),
  CONSTRAINT orders_user_fk         FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE RESTRICT,
  -- Which characters count as white space in a regular expression depends on the locale; these do not.
  CONSTRAINT orders_product_name_ck
    CHECK (length(product_name) <= 200 AND btrim(product_name, E' \t\n\v\f\r') <> ''),
  CONSTRAINT orders_amount_ck       CHECK (amount > 0 AND amount < 1e12 AND scale(amount) <= 4),
  CONSTRAINT orders_currency_ck     CHECK (currency ~ '^[A-Z]{3}$'),
  CONSTRAINT orders_metadata_ck     CHECK (jsonb_typeof(metadata) = 'object')
);

-- Serves GET /orders: the ids are uuid v7, so their order is the order of time. `status` is in no
-- index on purpose: a transition then stays a heap-only update and touches no index at all.
CREATE INDEX orders_user_ix ON orders (user_id, id);

CREATE TABLE order_transitions (
  from_status order_status NOT NULL,
  to_status   order_status NOT NULL,
  meaning     text         NOT NULL,

  CONSTRAINT order_transitions_pk PRIMARY KEY (from_status, to_status)
);

INSERT INTO order_transitions (from_status, to_status, meaning) VALUES
  ('PENDING',    'PROCESSING', 'a worker has taken the order'),
  ('PENDING',    'CANCELLED',  'the customer withdrew it in time'),
  ('PROCESSING', 'COMPLETED',  'the order was fulfilled'),
  ('PROCESSING', 'FAILED',     'fulfilment was refused, or every retry was used up'),
  ('PROCESSING', 'PENDING',    'an operator puts an order back'),
  ('FAILED',     'PENDING',    'an operator tries a failed order again');

CREATE TABLE order_events (
  order_id    uuid         NOT NULL,
  version     integer      NOT NULL,
  from_status order_status,          -- NULL for the event that records placement
  to_status   order_status NOT NULL,
  actor       text         NOT NULL,
  reason      text,                  -- NULL when nobody gave one
  at          timestamptz  NOT NULL DEFAULT clock_timestamp(),

  CONSTRAINT order_events_pk       PRIMARY KEY (order_id, version),
  CONSTRAINT order_events_order_fk FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE RESTRICT
);

-- Refuses a status that the lifecycle does not have, and numbers the ones it has.
CREATE FUNCTION orders_guard_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.status <> 'PENDING' THEN
      RAISE EXCEPTION 'order % cannot be placed as %: an order starts PENDING', NEW.id, NEW.status
        USING ERRCODE = 'OM001';     -- OM: this application's SQLSTATE class; src/http/problem.ts maps it
    END IF;
    NEW.version := 1;
    RETURN NEW;
  END IF;

  NEW.version := OLD.version;
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

-- Says who acts. A transaction sets oms.actor; 'user' stands for the order's own user, so that one
-- statement can place the orders of many. Without it, the database role is on record.
CREATE FUNCTION order_actor(user_id uuid) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT CASE coalesce(current_setting('oms.actor', true), '')
    WHEN ''     THEN 'role:' || session_user
    WHEN 'user' THEN 'user:' || user_id
    ELSE current_setting('oms.actor', true)
  END
$$;

-- Statement-level with transition tables: one INSERT however many orders a statement touches.
CREATE FUNCTION orders_record_placement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO order_events (order_id, version, from_status, to_status, actor, reason)
  SELECT n.id, n.version, NULL, n.status, order_actor(n.user_id),
         nullif(current_setting('oms.reason', true), '')
  FROM new_orders AS n;
  RETURN NULL;
END $$;

CREATE FUNCTION orders_record_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO order_events (order_id, version, from_status, to_status, actor, reason)
  SELECT n.id, n.version, o.status, n.status, order_actor(n.user_id),
         nullif(current_setting('oms.reason', true), '')
  FROM new_orders AS n
  JOIN old_orders AS o USING (id)
  WHERE n.status <> o.status;
  RETURN NULL;
END $$;

CREATE FUNCTION order_events_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'order_events is append-only: % refused', TG_OP USING ERRCODE = 'OM002';
END $$;

CREATE TRIGGER orders_10_guard_status BEFORE INSERT OR UPDATE ON orders
  FOR EACH ROW EXECUTE FUNCTION orders_guard_status();

CREATE TRIGGER orders_20_record_placement AFTER INSERT ON orders
  REFERENCING NEW TABLE AS new_orders
  FOR EACH STATEMENT EXECUTE FUNCTION orders_record_placement();

CREATE TRIGGER orders_30_record_change AFTER UPDATE ON orders
  REFERENCING OLD TABLE AS old_orders NEW TABLE AS new_orders
  FOR EACH STATEMENT EXECUTE FUNCTION orders_record_change();

CREATE TRIGGER order_events_10_refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON order_events
  FOR EACH STATEMENT EXECUTE FUNCTION order_events_refuse_change();

COMMENT ON TABLE  orders              IS 'One row per order; its history is in order_events.';
COMMENT ON COLUMN orders.id           IS 'uuid v7; also the id of the order''s job in queue process-order.';
COMMENT ON COLUMN orders.version      IS 'Number of the newest order_events row. Set by trigger only.';
COMMENT ON COLUMN orders.amount       IS 'Exact, with the decimals of its currency (ISO 4217). Never a float.';
COMMENT ON COLUMN orders.metadata     IS 'What the client attached: an object of at most 4 kB, not interpreted.';
COMMENT ON TABLE  order_transitions   IS 'The lifecycle: every status change that is allowed.';
COMMENT ON TABLE  order_events        IS 'Append-only trail of status changes, written by triggers on orders.';
COMMENT ON COLUMN order_events.actor  IS 'user:<id>, worker:<host>:<pid>, or role:<database role>.';
