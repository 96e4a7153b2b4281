-- Exchanges a refresh token for its successor (RFC 9700, 4.14.2). One call handles rotation, reuse and a lost reply.
-- The caller must know the token, because no service can read a stored hash.
CREATE OR REPLACE FUNCTION refresh_session(
  token_hash     bytea,
  successor_id   uuid,
  successor_hash bytea,
  grace_seconds  integer,
  client_address inet DEFAULT NULL,
  user_agent     text DEFAULT NULL,
  OUT outcome    text,
  OUT user_id    uuid,
  OUT family_id  uuid,
  OUT expires_at timestamptz
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  token          record;
  successor_used boolean; -- NULL when the family has no token with successor_hash
BEGIN
  IF octet_length(token_hash) IS DISTINCT FROM 32 OR octet_length(successor_hash) IS DISTINCT FROM 32
    OR successor_id IS NULL OR grace_seconds IS NULL OR grace_seconds NOT BETWEEN 0 AND 300
  THEN
    RAISE EXCEPTION 'refresh_session needs two sha256 hashes, an id, and a grace of 0 to 300 seconds'
      USING ERRCODE = 'OM020';
  END IF;

  -- Lock the family's first token, so a rotation and a revocation of one family run one after the other. Otherwise a
  -- revocation could miss a new successor, which would stay valid. The next statement reads the token, and sees what
  -- was committed during the wait.
  PERFORM FROM refresh_tokens AS f
  WHERE f.id = (SELECT t.family_id FROM refresh_tokens AS t WHERE t.token_hash = refresh_session.token_hash)
  FOR UPDATE;
  SELECT
    t.user_id, t.family_id, t.expires_at,
    t.expires_at <= clock_timestamp() AS expired,
    t.revoked_at IS NOT NULL AS revoked,
    t.used_at IS NOT NULL AS used,
    coalesce(t.used_at + make_interval(secs => grace_seconds) > clock_timestamp(), false) AS in_grace
  INTO token
  FROM refresh_tokens AS t
  WHERE t.token_hash = refresh_session.token_hash;
  IF NOT FOUND OR token.expired OR token.revoked THEN
    outcome := 'refused';
    RETURN;
  END IF;
  user_id := token.user_id;
  family_id := token.family_id;
  expires_at := token.expires_at;

  IF NOT token.used THEN
    UPDATE refresh_tokens AS t SET used_at = now() WHERE t.token_hash = refresh_session.token_hash;
    INSERT INTO refresh_tokens (id, user_id, family_id, token_hash, expires_at, network, user_agent)
    VALUES (successor_id, token.user_id, token.family_id, successor_hash, token.expires_at,
      network(set_masklen(client_address, CASE family(client_address) WHEN 4 THEN 24 ELSE 64 END)),
      left(refresh_session.user_agent, 200));
    outcome := 'rotated';
    RETURN;
  END IF;

  SELECT s.used_at IS NOT NULL INTO successor_used
  FROM refresh_tokens AS s
  WHERE s.token_hash = successor_hash AND s.family_id = token.family_id;
  IF NOT token.in_grace OR successor_used THEN
    UPDATE refresh_tokens AS t SET revoked_at = now()
    WHERE t.family_id = token.family_id AND t.revoked_at IS NULL;
    outcome := 'reused';
  ELSIF successor_used IS NULL THEN
    -- The secret that derives successors has changed. The family gets no second successor.
    outcome := 'refused';
  ELSE
    outcome := 'repeated';
  END IF;
END $$;

ALTER FUNCTION refresh_session OWNER TO oms_accounts;

COMMENT ON FUNCTION refresh_session IS
  'Exchanges a refresh token for its successor. Outcomes: rotated; repeated (the reply was lost: the same successor '
  'is valid); reused (used before, too long ago or with a used successor: the family is revoked); refused (unknown, '
  'expired or revoked, or the secret that derives successors has changed).';
