-- Returns which of these sessions are live. The API asks for many sessions at once before it accepts their access
-- tokens, and asks again after a few seconds. So it refuses an access token a few seconds after the end of its session.
CREATE OR REPLACE FUNCTION live_sessions(session_ids uuid[], user_ids uuid[]) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF session_ids IS NULL OR cardinality(session_ids) > 10000 OR cardinality(session_ids) <> cardinality(user_ids) THEN
    RAISE EXCEPTION 'live_sessions needs at most 10000 ids of sessions, and one id of a user for each'
      USING ERRCODE = 'OM020';
  END IF;

  -- The first refresh token of a session has the id of the session, and is revoked together with all later ones.
  RETURN QUERY
    SELECT f.id
    FROM unnest(session_ids, user_ids) AS s(session_id, user_id)
    JOIN refresh_tokens AS f ON f.id = s.session_id
    WHERE f.user_id = s.user_id AND f.family_id = f.id AND f.revoked_at IS NULL AND f.expires_at > clock_timestamp();
END $$;

ALTER FUNCTION live_sessions OWNER TO oms_accounts;

COMMENT ON FUNCTION live_sessions IS
  'The sessions among these that have neither ended nor expired, each of the user with the same place in the list.';
