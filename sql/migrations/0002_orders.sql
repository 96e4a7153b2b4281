-- Orders, the rules of their lifecycle, and the trail that every change leaves. The triggers that enforce both
-- are in sql/functions.
--
-- Locks: creates new objects only; safe to run while other processes are serving traffic.

CREATE TYPE order_status AS ENUM ('PENDING', 'PROCESSING', 'COMPLETED', 'CANCELLED', 'FAILED');

-- What a value may be, wherever it is stored. As domains rather than CHECKs of the table: Postgres keeps the compiled
-- check of a domain, but reads each CHECK of a table anew for every statement, also for one that only changes a status.

CREATE DOMAIN product_name AS text
  -- Which characters count as white space in a regular expression depends on the locale; these do not.
  CONSTRAINT product_name_ck CHECK (length(VALUE) <= 200 AND btrim(VALUE, E' \t\n\v\f\r') <> '');

CREATE DOMAIN money_amount AS numeric
  CONSTRAINT money_amount_ck CHECK (VALUE > 0 AND VALUE < 1e12 AND scale(VALUE) <= 4);

CREATE DOMAIN currency_code AS text
  CONSTRAINT currency_code_ck CHECK (VALUE ~ '^[A-Z]{3}$');

CREATE DOMAIN order_metadata AS jsonb
  -- More than the API accepts: 4 kB in which each number is short, such as 1e308, become up to 200 kB here.
  CONSTRAINT order_metadata_ck CHECK (jsonb_typeof(VALUE) = 'object' AND pg_column_size(VALUE) <= 262144);

-- What the trail keeps for good is bounded for every writer.
CREATE DOMAIN trail_actor AS text
  CONSTRAINT trail_actor_ck CHECK (length(VALUE) <= 300);

CREATE DOMAIN trail_reason AS text
  CONSTRAINT trail_reason_ck CHECK (length(VALUE) <= 1000);

CREATE TABLE orders (
  id             uuid           NOT NULL,
  status         order_status   NOT NULL DEFAULT 'PENDING',  -- second, so a bare SELECT shows it next to the id
  version        integer        NOT NULL DEFAULT 1,
  user_id        uuid           NOT NULL,
  product_name   product_name   NOT NULL,
  amount         money_amount   NOT NULL,
  currency       currency_code  NOT NULL DEFAULT 'USD',
  metadata       order_metadata NOT NULL DEFAULT '{}',
  xact_id        xid8           NOT NULL DEFAULT pg_current_xact_id(),
  changed_from   order_status,                              -- NULL: placed, or the newest UPDATE changed no status
  changed_by     trail_actor,                               -- NULL: its own user
  change_reason  trail_reason,                              -- NULL: none was given
  change_job_id  uuid,                                      -- NULL: no job did it
  change_attempt integer,                                   -- likewise
  created_at     timestamptz    NOT NULL DEFAULT now(),
  updated_at     timestamptz    NOT NULL DEFAULT now(),

  CONSTRAINT orders_pk      PRIMARY KEY (id),
  CONSTRAINT orders_user_fk FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE RESTRICT
)
-- Room for the one new version that nearly every row gets soon after it was placed: the update then stays on the
-- page, and touches no index (heap-only).
WITH (fillfactor = 50);

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

-- There is no foreign key to orders: the triggers that write events take the order from the row that has just
-- changed, and no order can be deleted (orders_05_refuse_delete). Actor and reason come from that row too, whose
-- domains bound them.
CREATE TABLE order_events (
  order_id    uuid         NOT NULL,
  version     integer      NOT NULL,
  from_status order_status,          -- NULL for the event that records placement
  to_status   order_status NOT NULL,
  actor       text         NOT NULL,
  reason      text,                  -- NULL when none was given
  job_id      uuid,                  -- NULL unless a worker acted
  attempt     integer,               -- likewise
  xact_id     xid8         NOT NULL,
  hash        bytea        NOT NULL,
  at          timestamptz  NOT NULL,

  CONSTRAINT order_events_pk PRIMARY KEY (order_id, version)
);

-- Serves the incremental audit, and ops.queues. Events come in the order of time, so a few pages suffice.
CREATE INDEX order_events_at_ix ON order_events USING brin (at) WITH (pages_per_range = 32);

COMMENT ON DOMAIN product_name          IS 'A name of at most 200 characters that is not blank.';
COMMENT ON DOMAIN money_amount          IS 'Greater than 0, below 10^12, with at most 4 decimals. Exact.';
COMMENT ON DOMAIN currency_code         IS 'Three capital letters. Only the API checks that ISO 4217 has such a code.';
COMMENT ON DOMAIN order_metadata        IS 'A JSON object of at most 256 kB as text.';
COMMENT ON DOMAIN trail_actor           IS 'Who made a change: at most 300 characters.';
COMMENT ON DOMAIN trail_reason          IS 'Why a change was made: at most 1,000 characters.';
COMMENT ON TABLE  orders                IS 'One row per order; its history is in order_events.';
COMMENT ON COLUMN orders.id             IS 'uuid v7; also the id of the order''s job in queue process-order.';
COMMENT ON COLUMN orders.version        IS 'Number of the newest order_events row. Set by trigger only.';
COMMENT ON COLUMN orders.amount         IS 'Exact, never a float. The API gives it the decimals of its currency (ISO 4217); the database takes up to 4.';
COMMENT ON COLUMN orders.metadata       IS 'What the client attached, not interpreted. The API takes at most 4 kB of JSON, the database 256 kB.';
COMMENT ON COLUMN orders.xact_id        IS 'Transaction that placed it: the same as in its first event and in its job''s data.';
COMMENT ON COLUMN orders.changed_from   IS 'Its status before the newest change. Set by trigger only.';
COMMENT ON COLUMN orders.changed_by     IS 'Who made the newest change: NULL for its own user, worker:<host>:<pid>, or role:<login role>.';
COMMENT ON COLUMN orders.change_reason  IS 'Why, where a reason was given.';
COMMENT ON COLUMN orders.change_job_id  IS 'The job that a worker made it for.';
COMMENT ON COLUMN orders.change_attempt IS 'Which attempt of that job, from 1.';
COMMENT ON TABLE  order_transitions     IS 'The lifecycle: every status change that is allowed.';
COMMENT ON TABLE  order_events          IS 'Append-only trail of status changes, written by the triggers on orders.';
COMMENT ON COLUMN order_events.actor    IS 'user:<id>, worker:<host>:<pid>, or role:<login role>.';
COMMENT ON COLUMN order_events.job_id   IS 'The job that a worker did it for.';
COMMENT ON COLUMN order_events.attempt  IS 'Which attempt of that job, from 1.';
COMMENT ON COLUMN order_events.xact_id  IS 'Transaction that made the change.';
COMMENT ON COLUMN order_events.hash     IS 'sha256 over the event and its predecessor''s hash: order_event_hash_v1().';
