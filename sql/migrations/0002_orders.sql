-- Orders, the rules of their lifecycle, and the trail of every change. The triggers that enforce the rules and write
-- the trail are in sql/functions.
--
-- Locks: creates new objects only; safe to run while other processes are serving traffic.

CREATE TYPE order_status AS ENUM ('PENDING', 'PROCESSING', 'COMPLETED', 'CANCELLED', 'FAILED');

-- Domains limit the values of columns. They are not CHECKs of the table, because Postgres keeps the compiled check of a
-- domain, but reads each CHECK of a table again for every statement, even if the statement changes only a status.

CREATE DOMAIN product_name AS text
  -- In a regular expression, white space depends on the locale. This list does not: the characters that trim() removes
  -- in JavaScript.
  CONSTRAINT product_name_ck CHECK (
    length(VALUE) <= 200
    AND btrim(VALUE, E' \t\n\v\f\r\u00A0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200A'
      '\u2028\u2029\u202F\u205F\u3000\uFEFF') <> ''
  );

CREATE DOMAIN money_amount AS numeric
  CONSTRAINT money_amount_ck CHECK (VALUE > 0 AND VALUE < 1e12 AND scale(VALUE) <= 4);

CREATE DOMAIN currency_code AS text
  CONSTRAINT currency_code_ck CHECK (VALUE ~ '^[A-Z]{3}$');

CREATE DOMAIN order_metadata AS jsonb
  CONSTRAINT order_metadata_ck CHECK (jsonb_typeof(VALUE) = 'object' AND octet_length(VALUE::text) <= 4096);

-- The trail is never deleted, so these limits hold for every writer.
CREATE DOMAIN trail_actor AS text
  CONSTRAINT trail_actor_ck CHECK (length(VALUE) <= 300);

CREATE DOMAIN trail_reason AS text
  CONSTRAINT trail_reason_ck CHECK (length(VALUE) <= 1000);

-- Only new orders need one of these currencies. orders.currency has no foreign key, because an order keeps its currency
-- even after the currency is withdrawn.
CREATE TABLE currencies (
  code     currency_code NOT NULL,
  decimals integer       NOT NULL,

  CONSTRAINT currencies_pk          PRIMARY KEY (code),
  CONSTRAINT currencies_decimals_ck CHECK (decimals BETWEEN 0 AND 4)
);

CREATE TABLE orders (
  id             uuid           NOT NULL,
  status         order_status   NOT NULL DEFAULT 'PENDING',  -- second, so SELECT * shows it next to the id
  version        integer        NOT NULL DEFAULT 1,
  user_id        uuid           NOT NULL,
  product_name   product_name   NOT NULL,
  amount         money_amount   NOT NULL,
  currency       currency_code  NOT NULL DEFAULT 'USD',
  metadata       order_metadata NOT NULL DEFAULT '{}',
  xact_id        xid8           NOT NULL DEFAULT pg_current_xact_id(),
  changed_from   order_status,                              -- NULL: no UPDATE yet, or the newest one changed no status
  changed_by     trail_actor,                               -- NULL: the user of the order
  change_reason  trail_reason,                              -- NULL: none was given
  change_job_id  uuid,                                      -- NULL: no worker made the change
  change_attempt integer,                                   -- NULL: no worker made the change
  created_at     timestamptz    NOT NULL DEFAULT now(),
  updated_at     timestamptz    NOT NULL DEFAULT now(),

  CONSTRAINT orders_pk      PRIMARY KEY (id),
  CONSTRAINT orders_user_fk FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE RESTRICT
)
-- Free space on each page: nearly every row gets one new version soon after it was placed. With space for it on the
-- same page, the update touches no index (heap-only).
WITH (fillfactor = 50);

-- Serves GET /orders: ids are uuid v7, so they sort by time. No index contains `status`, so a change of status stays a
-- heap-only update.
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

-- No foreign key to orders is needed: the triggers that write events take the id of the order from the row that has
-- just changed, and no order can be deleted (orders_05_refuse_delete). Actor and reason come from that row too, and its
-- domains limit their length.
CREATE TABLE order_events (
  order_id    uuid         NOT NULL,
  version     integer      NOT NULL,
  from_status order_status,          -- NULL for the event that records placement
  to_status   order_status NOT NULL,
  actor       text         NOT NULL,
  reason      text,                  -- NULL when none was given
  job_id      uuid,                  -- NULL unless a worker acted
  attempt     integer,               -- NULL unless a worker acted
  xact_id     xid8         NOT NULL,
  hash        bytea        NOT NULL,
  at          timestamptz  NOT NULL,

  CONSTRAINT order_events_pk PRIMARY KEY (order_id, version)
);

-- Serves the incremental audit, and ops.queues. Events are stored in the order of time, so the index needs few pages.
CREATE INDEX order_events_at_ix ON order_events USING brin (at) WITH (pages_per_range = 32);

COMMENT ON DOMAIN product_name          IS 'A name of at most 200 characters that is not blank.';
COMMENT ON DOMAIN money_amount          IS 'Greater than 0, below 10^12, with at most 4 decimals. Exact.';
COMMENT ON DOMAIN currency_code         IS 'Three capital letters. A new order needs a code of table currencies.';
COMMENT ON DOMAIN order_metadata        IS 'A JSON object of at most 4096 bytes, as Postgres writes it.';
COMMENT ON DOMAIN trail_actor           IS 'Who made a change: at most 300 characters.';
COMMENT ON DOMAIN trail_reason          IS 'Why a change was made: at most 1,000 characters.';
COMMENT ON TABLE  currencies            IS
  'The currencies of new orders: those in use, with their decimals by ISO 4217. Written by migrate.';
COMMENT ON TABLE  orders                IS 'One row per order; its history is in order_events.';
COMMENT ON COLUMN orders.id             IS 'uuid v7; also the id of the order''s job in queue process-order.';
COMMENT ON COLUMN orders.version        IS 'Number of the newest order_events row. Set by trigger only.';
COMMENT ON COLUMN orders.amount         IS
  'Exact, never a float. Has the decimals of its currency (table currencies).';
COMMENT ON COLUMN orders.metadata       IS
  'JSON from the client, not interpreted.';
COMMENT ON COLUMN orders.xact_id        IS
  'Transaction that placed it: the same as in its first event and in its job''s data.';
COMMENT ON COLUMN orders.changed_from   IS 'Its status before the newest change. Set by trigger only.';
COMMENT ON COLUMN orders.changed_by     IS
  'Who made the newest change: NULL for the user of the order, worker:<host>:<pid>, or role:<login role>.';
COMMENT ON COLUMN orders.change_reason  IS 'The reason of the newest change.';
COMMENT ON COLUMN orders.change_job_id  IS 'The job of the worker that made the newest change.';
COMMENT ON COLUMN orders.change_attempt IS 'The attempt of that job, counted from 1.';
COMMENT ON TABLE  order_transitions     IS 'The lifecycle: every change of status that is allowed.';
COMMENT ON TABLE  order_events          IS 'Append-only trail of changes of status, written by the triggers on orders.';
COMMENT ON COLUMN order_events.actor    IS 'user:<id>, worker:<host>:<pid>, or role:<login role>.';
COMMENT ON COLUMN order_events.job_id   IS 'The job of the worker that made the change.';
COMMENT ON COLUMN order_events.attempt  IS 'The attempt of that job, counted from 1.';
COMMENT ON COLUMN order_events.xact_id  IS 'Transaction that made the change.';
COMMENT ON COLUMN order_events.hash     IS
  'sha256 over the hash of the event before and this event: order_event_hash_v1().';
