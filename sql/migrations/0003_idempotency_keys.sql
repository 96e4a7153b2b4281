-- Safe retries: each request with an Idempotency-Key that had its effect, and the reply to it. The row commits together
-- with the effect, so neither exists without the other.
--
-- While a request is in progress there is no row yet, only an advisory lock on its key. The lock ends with the
-- transaction, so a crash leaves nothing to clean up.
--
-- Locks: creates new objects only; safe to run while other processes are serving traffic.

-- No foreign key to orders is needed: only place_orders and cancel_order write rows, each in the transaction that
-- places or changes the order, and no order can be deleted.
CREATE TABLE idempotency_keys (
  user_id     uuid        NOT NULL,
  method      text        NOT NULL,
  path        text        NOT NULL,
  key         text        NOT NULL,
  fingerprint bytea       NOT NULL,
  status      integer     NOT NULL,
  headers     jsonb       NOT NULL DEFAULT '{}',
  body        json        NOT NULL,   -- not jsonb: a replay must return the same bytes
  order_id    uuid        NOT NULL,
  xact_id     xid8        NOT NULL DEFAULT pg_current_xact_id(),
  created_at  timestamptz NOT NULL DEFAULT now(),
  expires_at  timestamptz NOT NULL,

  CONSTRAINT idempotency_keys_pk             PRIMARY KEY (user_id, method, path, key),
  CONSTRAINT idempotency_keys_method_ck      CHECK (method IN ('POST', 'PUT', 'PATCH')),
  CONSTRAINT idempotency_keys_path_ck        CHECK (length(path) <= 1000),
  CONSTRAINT idempotency_keys_key_ck         CHECK (length(key) BETWEEN 1 AND 255),
  CONSTRAINT idempotency_keys_fingerprint_ck CHECK (octet_length(fingerprint) = 32),
  CONSTRAINT idempotency_keys_status_ck      CHECK (status BETWEEN 200 AND 299),
  CONSTRAINT idempotency_keys_headers_ck     CHECK (jsonb_typeof(headers) = 'object'),
  CONSTRAINT idempotency_keys_expires_at_ck  CHECK (expires_at > created_at)
);

-- Serves the nightly prune.
CREATE INDEX idempotency_keys_expires_ix ON idempotency_keys (expires_at);

-- Serves the audit, which reads orders by id.
CREATE INDEX idempotency_keys_order_ix ON idempotency_keys (order_id);

COMMENT ON TABLE  idempotency_keys             IS
  'One row per request with an Idempotency-Key that had its effect, until the key expires.';
COMMENT ON COLUMN idempotency_keys.path        IS
  'In lower case, without the query and a last slash. User, method and path are the scope of a key.';
COMMENT ON COLUMN idempotency_keys.key         IS 'The characters of the key, without quotes and escapes.';
COMMENT ON COLUMN idempotency_keys.fingerprint IS
  'sha256 of the request body in canonical form: the key is valid for this body only.';
COMMENT ON COLUMN idempotency_keys.status      IS
  'Status of the reply. A refused request stores no row, so it is always 2xx.';
COMMENT ON COLUMN idempotency_keys.headers     IS 'Headers of the reply that belong to the effect, such as Location.';
COMMENT ON COLUMN idempotency_keys.body        IS 'Body of the reply, byte for byte.';
COMMENT ON COLUMN idempotency_keys.order_id    IS 'The order that the request placed or changed.';
COMMENT ON COLUMN idempotency_keys.xact_id     IS
  'Transaction of the effect: the same as in the order that was placed.';
COMMENT ON COLUMN idempotency_keys.expires_at  IS
  'From this time on the key counts as never used, even if it has not been pruned.';
