-- Which of these sessions live. The API asks before it accepts access tokens, for many sessions at once, and asks again
-- after a few seconds. So an access token ends soon after its session.
CREATE OR REPLACE FUNCTION live_sessions(session_ids uuid[], user_ids uuid[]) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF session_ids IS NULL OR cardinality(session_ids) > 10000 OR cardinality(session_ids) <> cardinality(user_ids) THEN
    RAISE EXCEPTION 'live_sessions needs at most 10000 ids of sessions, and one id of a user for each'
      USING ERRCODE = 'OM020';
  END IF;

  -- The first token of a session stands for the session: it has its id, and is revoked with all the others.
  RETURN QUERY
    SELECT f.id
    FROM unnest(session_ids, user_ids) AS s(session_id, user_id)
    JOIN refresh_tokens AS f ON f.id = s.session_id
    WHERE f.user_id = s.user_id AND f.family_id = f.id AND f.revoked_at IS NULL AND f.expires_at > clock_timestamp();
END $$;

ALTER FUNCTION live_sessions OWNER TO oms_accounts;

COMMENT ON FUNCTION live_sessions IS
  'The sessions among these that have neither ended nor expired, each of the user with the same place in the list.';
