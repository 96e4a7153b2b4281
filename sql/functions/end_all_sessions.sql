-- Ends every session of a user, except `kept_session` if that is given.
CREATE OR REPLACE FUNCTION end_all_sessions(user_id uuid, kept_session uuid DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF user_id IS NULL THEN
    RAISE EXCEPTION 'end_all_sessions needs the id of a user' USING ERRCODE = 'OM020';
  END IF;

  -- Two statements: the second sees the successors that rotations committed while the first waited for its locks.
  PERFORM FROM refresh_tokens AS f
  WHERE f.user_id = end_all_sessions.user_id AND f.id = f.family_id AND f.revoked_at IS NULL
    AND f.id IS DISTINCT FROM kept_session
  ORDER BY f.id
  FOR UPDATE;
  UPDATE refresh_tokens AS t SET revoked_at = now()
  WHERE t.user_id = end_all_sessions.user_id AND t.revoked_at IS NULL AND t.family_id IS DISTINCT FROM kept_session;
END $$;

ALTER FUNCTION end_all_sessions OWNER TO oms_accounts;

COMMENT ON FUNCTION end_all_sessions IS
  'Ends every session of a user, including one that is being refreshed at this moment. A given session is kept.';
