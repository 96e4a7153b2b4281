-- Ends a session. To prove that it owns the session, the caller passes the hash of the session's refresh token.
CREATE OR REPLACE FUNCTION end_session(token_hash bytea) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  ended_family uuid;
  ended_user   uuid;
BEGIN
  IF octet_length(token_hash) IS DISTINCT FROM 32 THEN
    RAISE EXCEPTION 'end_session needs a sha256 hash' USING ERRCODE = 'OM020';
  END IF;

  SELECT t.family_id, t.user_id INTO ended_family, ended_user
  FROM refresh_tokens AS t
  WHERE t.token_hash = end_session.token_hash;
  -- Two statements: the second sees the successor that a rotation committed while the first waited for its lock.
  PERFORM FROM refresh_tokens AS f WHERE f.id = ended_family FOR UPDATE;
  UPDATE refresh_tokens AS t SET revoked_at = now() WHERE t.family_id = ended_family AND t.revoked_at IS NULL;
  RETURN ended_user;
END $$;

ALTER FUNCTION end_session OWNER TO oms_accounts;

COMMENT ON FUNCTION end_session IS
  'Ends the session of a refresh token, and returns the user of the session: NULL for an unknown token. A repeat '
  'changes nothing.';
