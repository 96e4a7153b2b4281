-- The tables of the audit: the daily heads over the trail of all orders, and the scheduled runs.
--
-- Locks: creates new objects only; safe to run while other processes are serving traffic.

-- Each head covers the events of the transactions from from_xid up to, but not including, to_xid. to_xid is the xmin of
-- a snapshot: every transaction below it had ended when the head was made, so the set of events is complete and never
-- changes. docs/audit.md says how digest and signature are computed.
CREATE TABLE audit_heads (
  number     integer     NOT NULL,
  from_xid   xid8        NOT NULL,
  to_xid     xid8        NOT NULL,
  events     bigint      NOT NULL,
  digest     bytea       NOT NULL,
  key_id     text,                   -- NULL when the worker had no key: the head is not signed
  signature  text,                   -- NULL when the worker had no key
  created_at timestamptz NOT NULL DEFAULT now(),

  CONSTRAINT audit_heads_pk           PRIMARY KEY (number),
  CONSTRAINT audit_heads_from_xid_uq  UNIQUE (from_xid),
  CONSTRAINT audit_heads_number_ck    CHECK (number >= 1),
  CONSTRAINT audit_heads_xids_ck      CHECK (from_xid < to_xid),
  CONSTRAINT audit_heads_digest_ck    CHECK (octet_length(digest) = 32),
  CONSTRAINT audit_heads_key_id_ck    CHECK (length(key_id) <= 100),
  CONSTRAINT audit_heads_signature_ck CHECK ((key_id IS NULL) = (signature IS NULL) AND length(signature) <= 100)
);

CREATE TABLE audit_runs (
  id          bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
  started_at  timestamptz NOT NULL,
  finished_at timestamptz NOT NULL,
  to_xid      xid8        NOT NULL,
  orders      integer     NOT NULL,
  violations  jsonb       NOT NULL,  -- their number by invariant; {} means none
  watched     uuid[]      NOT NULL,

  CONSTRAINT audit_runs_pk            PRIMARY KEY (id),
  CONSTRAINT audit_runs_violations_ck CHECK (jsonb_typeof(violations) = 'object')
);

COMMENT ON TABLE  audit_heads            IS
  'Daily heads over the events of all orders, each chained to the one before. Append-only.';
COMMENT ON COLUMN audit_heads.to_xid     IS
  'The next head begins here. Every transaction below it had ended when this head was made.';
COMMENT ON COLUMN audit_heads.digest     IS
  'sha256 over the digest of the head before and the hashes of the events: audit.events_digest().';
COMMENT ON COLUMN audit_heads.key_id     IS 'Names the public key that verifies the signature.';
COMMENT ON COLUMN audit_heads.signature  IS 'Ed25519, in base64.';
COMMENT ON TABLE  audit_runs             IS 'Scheduled audits: one row each, kept for 30 days.';
COMMENT ON COLUMN audit_runs.to_xid      IS 'The next run checks the changes of transactions from this one on.';
COMMENT ON COLUMN audit_runs.watched     IS
  'Orders that the next run checks again: they broke an invariant, or have been open for long.';
