-- Returns the live sessions of a user, for GET /auth/sessions: the 100 newest at most.
CREATE OR REPLACE FUNCTION list_sessions(user_id uuid)
RETURNS TABLE (id uuid, created_at timestamptz, last_used_at timestamptz, expires_at timestamptz, network text,
  user_agent text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF user_id IS NULL THEN
    RAISE EXCEPTION 'list_sessions needs the id of a user' USING ERRCODE = 'OM020';
  END IF;

  RETURN QUERY
    SELECT f.id, f.created_at, newest.created_at, f.expires_at, newest.network::text, newest.user_agent
    FROM refresh_tokens AS f
    CROSS JOIN LATERAL (
      SELECT t.created_at, t.network, t.user_agent
      FROM refresh_tokens AS t
      WHERE t.family_id = f.id
      ORDER BY t.created_at DESC, t.id DESC
      LIMIT 1
    ) AS newest
    WHERE f.user_id = list_sessions.user_id AND f.family_id = f.id AND f.revoked_at IS NULL
      AND f.expires_at > clock_timestamp()
    ORDER BY f.created_at DESC, f.id DESC
    LIMIT 100;
END $$;

ALTER FUNCTION list_sessions OWNER TO oms_accounts;

COMMENT ON FUNCTION list_sessions IS 'The 100 newest sessions of a user that have neither ended nor expired.';
