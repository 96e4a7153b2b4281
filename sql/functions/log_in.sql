-- The second half of a login, and the only way to start a session. The API sends the hash that it computed with the
-- salt from password_salt. This function compares it with the stored hash. When they are equal, it stores the first
-- refresh token of the session.
--
-- This function also counts failed logins, and refuses further ones (attempts.sql). The limits of an account are fixed
-- here, so they also hold for a thief with the login of the API. Outcomes: `started`; `wrong`: the address or the
-- password; `refused`: a limit is used up.
CREATE OR REPLACE FUNCTION log_in(
  email           text,
  computed_hash   text,
  family_id       uuid,
  token_hash      bytea,
  session_seconds integer,
  client_address  inet    DEFAULT NULL,
  user_agent      text    DEFAULT NULL,
  network_max     integer DEFAULT 5,
  total_max       integer DEFAULT 300
) RETURNS TABLE (outcome text, user_id uuid, expires_at timestamptz, used integer, seconds integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  nonce    CONSTANT bytea := uuid_send(gen_random_uuid());
  network  CONSTANT inet  := network_of(client_address);
  is_known boolean;
  until    timestamptz;
BEGIN
  -- The prefix is required: a login must not match a stored placeholder such as 'none'.
  IF email IS NULL OR length(email) > 254
    OR computed_hash IS NULL OR NOT starts_with(computed_hash, '$argon2id$') OR length(computed_hash) > 200
  THEN
    RAISE EXCEPTION 'log_in needs an email address, and a password hash that is argon2id in PHC format'
      USING ERRCODE = 'OM020';
  END IF;
  IF family_id IS NULL OR octet_length(token_hash) IS DISTINCT FROM 32
    OR session_seconds IS NULL OR session_seconds NOT BETWEEN 1 AND 31536000
  THEN
    RAISE EXCEPTION 'log_in needs an id, a sha256 hash, and a session of 1 second to 365 days'
      USING ERRCODE = 'OM020';
  END IF;
  IF network_max IS NULL OR network_max NOT BETWEEN 0 AND 1000000
    OR total_max IS NULL OR total_max NOT BETWEEN 0 AND 1000000
  THEN
    RAISE EXCEPTION 'log_in needs limits of 0 to 1000000' USING ERRCODE = 'OM020';
  END IF;

  -- One login to an account at a time: otherwise many guesses at once would be compared before the first is counted.
  PERFORM pg_advisory_xact_lock(hashtextextended(email, 20261201));
  is_known := is_known_network(email, network);
  until := login_refused_until(email, network, is_known);
  IF until IS NOT NULL THEN
    outcome := 'refused';
  ELSE
    -- The stored hash stays inside this statement: debug_print_plan, which any caller may set, would print a variable
    -- with the hash. The nonce keeps the duration of the comparison from revealing anything about the hash. The lock
    -- makes a login wait for a change of the password that is in progress. After it, the old password does not match.
    SELECT u.id INTO user_id
    FROM users AS u
    WHERE u.email = log_in.email
      AND sha256(nonce || convert_to(u.password_hash, 'UTF8')) = sha256(nonce || convert_to(computed_hash, 'UTF8'))
    FOR SHARE;
    IF FOUND THEN
      outcome := 'started';
      expires_at := now() + make_interval(secs => session_seconds);
      INSERT INTO refresh_tokens (id, user_id, family_id, token_hash, expires_at, network, user_agent)
      VALUES (log_in.family_id, log_in.user_id, log_in.family_id, log_in.token_hash, log_in.expires_at,
        network(set_masklen(client_address, CASE family(client_address) WHEN 4 THEN 24 ELSE 64 END)),
        left(log_in.user_agent, 200));
      PERFORM remember_network(log_in.user_id, email, network, is_known);
    ELSE
      outcome := CASE WHEN count_failed_login(email, network, is_known, network_max, total_max)
        THEN 'refused' ELSE 'wrong' END;
    END IF;
  END IF;

  SELECT n.used, n.seconds INTO used, seconds FROM network_attempts('login', network) AS n;
  IF until IS NOT NULL THEN
    seconds := ceil(extract(epoch FROM until - clock_timestamp()));
  END IF;
  RETURN NEXT;
END $$;

-- Counts a failed login. Returns whether the limit of the network, its site or the total was used up already. Then
-- other logins have used it up since the call of password_salt, and log_in says `refused` instead of `wrong`.
CREATE OR REPLACE FUNCTION count_failed_login(
  email text, network inet, is_known boolean, network_max integer, total_max integer
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  refused boolean := false;
BEGIN
  -- A crash may lose the counts of the last second. A wait for the disk would hold the locks of the counts longer.
  PERFORM set_config('synchronous_commit', 'off', true);
  PERFORM add_attempt('login pair', account_key(email) || ' ' || text(network), 5, true);
  IF is_known THEN
    RETURN false;
  END IF;
  PERFORM add_attempt('login account', account_key(email), 30, true);
  IF network_max > 0 THEN
    SELECT a.refused INTO refused FROM add_network_attempt('login', network, network_max) AS a;
  END IF;
  IF total_max > 0 THEN
    refused := add_attempt('login total', '', total_max, false) > total_max OR refused;
  END IF;
  RETURN refused;
END $$;

-- After a successful login: deletes the count of failed logins to the account from this network and, if the network
-- was not known, the count for the whole account. Then records the network as known.
CREATE OR REPLACE FUNCTION remember_network(user_id uuid, email text, network inet, is_known boolean) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM attempt_counts AS c
  WHERE c.scope = 'login pair' AND c.key = account_key(email) || ' ' || text(network);
  IF NOT is_known THEN
    DELETE FROM attempt_counts AS c WHERE c.scope = 'login account' AND c.key = account_key(email);
  END IF;
  INSERT INTO known_networks AS k (user_id, network)
  VALUES (remember_network.user_id, remember_network.network)
  ON CONFLICT ON CONSTRAINT known_networks_pk DO UPDATE SET seen_at = now()
  WHERE k.seen_at < now() - interval '1 day';
END $$;

ALTER FUNCTION log_in OWNER TO oms_accounts;

COMMENT ON FUNCTION log_in IS
  'Compares a password hash with that of the account and, when they are equal, starts a session with this first '
  'refresh token. Counts failed logins, and refuses further ones. The only way to start a session.';
COMMENT ON FUNCTION count_failed_login IS 'Counts a failed login in every scope that it belongs to.';
COMMENT ON FUNCTION remember_network IS 'Records the network of a login, and deletes counts of failed ones.';
