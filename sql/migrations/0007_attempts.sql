-- Counts of failed logins and other attempts, and the networks from which users log in.
--
-- Both tables survive a flush of Redis, a crash and a failover: otherwise each would give attackers new attempts, or
-- lock out owners during an attack. sql/functions/attempts.sql has the rules.
--
-- Locks: creates new objects only; safe to run while other processes are serving traffic.

-- Rows are rewritten for every failed login. Therefore each page has free space, which keeps updates heap-only, and
-- vacuum starts early. No index on forget_at, for the same reason: the nightly prune reads the whole table.
CREATE TABLE attempt_counts (
  scope         text        NOT NULL,
  key           text        NOT NULL,
  count         integer     NOT NULL,
  refused_until timestamptz NOT NULL DEFAULT '-infinity',
  forget_at     timestamptz NOT NULL,

  CONSTRAINT attempt_counts_pk       PRIMARY KEY (scope, key),
  CONSTRAINT attempt_counts_scope_ck CHECK (length(scope) BETWEEN 1 AND 30),
  CONSTRAINT attempt_counts_key_ck   CHECK (length(key) <= 120)
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0.1);

CREATE TABLE known_networks (
  user_id uuid        NOT NULL,
  network inet        NOT NULL,
  seen_at timestamptz NOT NULL DEFAULT now(),

  CONSTRAINT known_networks_pk      PRIMARY KEY (user_id, network),
  CONSTRAINT known_networks_user_fk FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

COMMENT ON TABLE  attempt_counts               IS
  'How often something was tried: by account, by network and in all. Pruned every night.';
COMMENT ON COLUMN attempt_counts.scope         IS 'What is counted, such as: login account, login network.';
COMMENT ON COLUMN attempt_counts.key           IS 'The network, or the sha256 of the email address, or both.';
COMMENT ON COLUMN attempt_counts.refused_until IS 'Until then, further attempts are refused and not counted.';
COMMENT ON COLUMN attempt_counts.forget_at     IS 'From then on, the next attempt is the first.';
COMMENT ON TABLE  known_networks               IS
  'The networks from which a user has logged in. From there, attempts of strangers do not lock the user out.';
COMMENT ON COLUMN known_networks.seen_at       IS 'The last login from there, to the day. Pruned after 90 days.';
