-- Finds one account by its id, for GET /auth/me. The API cannot list the accounts.
CREATE OR REPLACE FUNCTION find_user(user_id uuid) RETURNS TABLE (id uuid, name text, email text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF user_id IS NULL THEN
    RAISE EXCEPTION 'find_user needs the id of a user' USING ERRCODE = 'OM020';
  END IF;

  RETURN QUERY SELECT u.id, u.name, u.email::text FROM users AS u WHERE u.id = find_user.user_id;
END $$;

ALTER FUNCTION find_user OWNER TO oms_accounts;

COMMENT ON FUNCTION find_user IS
  'The account with this id, or no row. The caller cannot list the accounts.';
