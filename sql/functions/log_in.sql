-- The second half of a login, and the only way to start a session. The API sends the hash that it computed with the
-- salt from password_salt. This function compares it with the stored hash. When they are equal, it stores the first
-- refresh token of the session.
CREATE OR REPLACE FUNCTION log_in(
  email           text,
  computed_hash   text,
  family_id       uuid,
  token_hash      bytea,
  session_seconds integer,
  client_address  inet DEFAULT NULL,
  user_agent      text DEFAULT NULL
) RETURNS TABLE (user_id uuid, expires_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  nonce CONSTANT bytea := uuid_send(gen_random_uuid());
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

  -- The stored hash stays inside this statement: debug_print_plan, which any caller may set, would print a variable
  -- with the hash. The nonce keeps the duration of the comparison from revealing anything about the hash. The lock
  -- makes a login wait for a change of the password that is in progress. Then the old password does not match any more.
  SELECT u.id INTO user_id
  FROM users AS u
  WHERE u.email = log_in.email
    AND sha256(nonce || convert_to(u.password_hash, 'UTF8')) = sha256(nonce || convert_to(computed_hash, 'UTF8'))
  FOR SHARE;
  IF NOT FOUND THEN
    RETURN;
  END IF;

  expires_at := now() + make_interval(secs => session_seconds);
  INSERT INTO refresh_tokens (id, user_id, family_id, token_hash, expires_at, network, user_agent)
  VALUES (log_in.family_id, log_in.user_id, log_in.family_id, log_in.token_hash, log_in.expires_at,
    network(set_masklen(client_address, CASE family(client_address) WHEN 4 THEN 24 ELSE 64 END)),
    left(log_in.user_agent, 200));
  RETURN NEXT;
END $$;

ALTER FUNCTION log_in OWNER TO oms_accounts;

COMMENT ON FUNCTION log_in IS
  'Compares a password hash with that of the account and, when they are equal, starts a session with this first '
  'refresh token. No row for an unknown address or a wrong password. The only way to start a session.';
