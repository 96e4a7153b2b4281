-- The first half of a login: returns the parameters and the salt that the API needs to hash a password. The stored hash
-- never leaves the database: log_in compares it with the hash from the API.
CREATE OR REPLACE FUNCTION password_salt(email text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF email IS NULL OR length(email) > 254 THEN
    RAISE EXCEPTION 'password_salt needs an email address of at most 254 characters' USING ERRCODE = 'OM020';
  END IF;

  -- A stored string in any other format gives NULL, so this function cannot return a part of a hash.
  RETURN (
    SELECT substring(u.password_hash FROM
      '^([$]argon2id[$]v=19[$]m=[0-9]+,t=[0-9]+,p=[0-9]+[$][A-Za-z0-9+/]+)[$][A-Za-z0-9+/]+$')
    FROM users AS u
    WHERE u.email = password_salt.email
  );
END $$;

ALTER FUNCTION password_salt OWNER TO oms_accounts;

COMMENT ON FUNCTION password_salt IS
  'The argon2id parameters and the salt of an account, in PHC format without the hash. NULL for an unknown address.';
