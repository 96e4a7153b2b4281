-- Counts of failed logins and other attempts, and the networks from which users log in.
--
-- They are in Postgres and not in Redis, which may lose its data. A loss of the counts would give attackers new
-- attempts, and a loss of the networks would lock out users during an attack. A crash of Postgres loses the counts of
-- the last second at most. sql/functions/attempts.sql has the rules.
--
-- Locks: creates new objects only; safe to run while other processes are serving traffic.

-- Every failed login rewrites rows. Therefore each page has free space, which keeps updates heap-only, and vacuum
-- starts early. An index on forget_at would prevent heap-only updates, so the nightly prune reads the whole table.
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
  'Counts of attempts: by account, by network and in total. Pruned every night.';
COMMENT ON COLUMN attempt_counts.scope         IS 'What is counted, such as: login account, login network.';
COMMENT ON COLUMN attempt_counts.key           IS
  'The network, the sha256 of the email address, or both. Empty for login total.';
COMMENT ON COLUMN attempt_counts.refused_until IS 'Until then, further attempts are refused and not counted.';
COMMENT ON COLUMN attempt_counts.forget_at     IS 'After this time, the count begins again with the next attempt.';
COMMENT ON TABLE  known_networks               IS
  'Networks from which a user has logged in. Failed logins from other networks do not lock the user out of these.';
COMMENT ON COLUMN known_networks.seen_at       IS 'The last login from there, exact to a day. Pruned after 90 days.';
