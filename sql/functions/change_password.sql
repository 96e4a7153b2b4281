-- Changes the password of an account, for POST /auth/password. The API sends the hash of the current password, which it
-- computed with the salt from password_salt, and the hash of the new one. All sessions of the user end, except
-- `kept_session`. Returns whether the current password was right.
CREATE OR REPLACE FUNCTION change_password(
  user_id       uuid,
  computed_hash text,
  password_hash text,
  kept_session  uuid
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  nonce CONSTANT bytea := uuid_send(gen_random_uuid());
BEGIN
  IF user_id IS NULL OR kept_session IS NULL
    OR computed_hash IS NULL OR NOT starts_with(computed_hash, '$argon2id$')
  THEN
    RAISE EXCEPTION 'change_password needs the id of a user, the hash of the current password, and the id of a session'
      USING ERRCODE = 'OM020';
  END IF;
  PERFORM require_password_hash(password_hash);

  -- As in log_in, the stored hash stays inside the statement. The row lock of this UPDATE makes later logins with the
  -- old password wait. The next statement sees the sessions of earlier logins, and ends them.
  UPDATE users AS u
  SET password_hash = change_password.password_hash, reset_hash = NULL, reset_until = NULL
  WHERE u.id = change_password.user_id
    AND sha256(nonce || convert_to(u.password_hash, 'UTF8')) = sha256(nonce || convert_to(computed_hash, 'UTF8'));
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  PERFORM end_all_sessions(change_password.user_id, kept_session);
  RETURN true;
END $$;

ALTER FUNCTION change_password OWNER TO oms_accounts;

COMMENT ON FUNCTION change_password IS
  'Stores a new password hash if the hash of the current password is right, and ends all sessions but one.';
