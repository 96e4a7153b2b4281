-- Ends one session of a user by its id, for DELETE /auth/sessions/{id}. Returns whether the user had a live session
-- with this id.
CREATE OR REPLACE FUNCTION end_own_session(user_id uuid, session_id uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF user_id IS NULL OR session_id IS NULL THEN
    RAISE EXCEPTION 'end_own_session needs the id of a user and the id of a session' USING ERRCODE = 'OM020';
  END IF;

  -- Two statements: the second sees the successor that a rotation committed while the first waited for its lock.
  PERFORM FROM refresh_tokens AS f
  WHERE f.id = session_id AND f.family_id = f.id AND f.user_id = end_own_session.user_id AND f.revoked_at IS NULL
    AND f.expires_at > clock_timestamp()
  FOR UPDATE;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  UPDATE refresh_tokens AS t SET revoked_at = now() WHERE t.family_id = session_id AND t.revoked_at IS NULL;
  RETURN true;
END $$;

ALTER FUNCTION end_own_session OWNER TO oms_accounts;

COMMENT ON FUNCTION end_own_session IS
  'Ends a session of this user. False when the user has no live session with this id.';
