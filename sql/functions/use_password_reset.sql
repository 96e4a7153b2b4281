-- Sets a new password with a token from ops.reset_password, for POST /auth/password-reset. A token can be used once.
-- All sessions of the user end. Returns the user, or NULL when the token is unknown, was used or replaced, or has
-- expired.
CREATE OR REPLACE FUNCTION use_password_reset(token_hash bytea, password_hash text) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  found_user uuid;
BEGIN
  IF octet_length(token_hash) IS DISTINCT FROM 32 THEN
    RAISE EXCEPTION 'use_password_reset needs a sha256 hash' USING ERRCODE = 'OM020';
  END IF;
  PERFORM require_password_hash(password_hash);

  -- Of two uses at the same time, the second waits here, and then finds no token.
  UPDATE users AS u
  SET password_hash = use_password_reset.password_hash, reset_hash = NULL, reset_until = NULL
  WHERE u.reset_hash = token_hash AND u.reset_until > clock_timestamp()
  RETURNING u.id INTO found_user;
  IF FOUND THEN
    PERFORM end_all_sessions(found_user);
  END IF;
  RETURN found_user;
END $$;

ALTER FUNCTION use_password_reset OWNER TO oms_accounts;

COMMENT ON FUNCTION use_password_reset IS
  'Stores a new password hash for the user of a token, deletes the token, and ends all sessions. NULL: no such token.';
