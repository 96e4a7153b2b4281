-- Refuses a text that is not the hash of a password. The functions that store a password hash call it.
CREATE OR REPLACE FUNCTION require_password_hash(password_hash text) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  -- The stored parameters set the cost of each login, so they are bounded: 97 MiB, 9 passes, parallelism 9.
  IF password_hash IS NULL OR password_hash !~
    '^[$]argon2id[$]v=19[$]m=[1-9][0-9]{3,4},t=[1-9],p=[1-9][$][A-Za-z0-9+/]{22,64}[$][A-Za-z0-9+/]{43}$'
  THEN
    RAISE EXCEPTION 'the password hash must be argon2id in PHC format' USING ERRCODE = 'OM020';
  END IF;
END $$;

-- Creates an account. The API has no right on the table: it can add an account, but cannot list or change accounts.
CREATE OR REPLACE FUNCTION register_user(id uuid, name text, email email_address, password_hash text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM require_password_hash(password_hash);
  -- Checked here, because the error of a table constraint shows the whole row, including the hash.
  -- A name that is blank for the API is blank here: domain product_name has the same white space.
  IF id IS NULL OR name IS NULL OR length(name) NOT BETWEEN 1 AND 200 OR email IS NULL
    OR btrim(name, E' \t\n\v\f\r\u00A0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200A'
      '\u2028\u2029\u202F\u205F\u3000\uFEFF') = ''
  THEN
    RAISE EXCEPTION
      'register_user needs an id, a name of 1 to 200 characters that is not blank, and an email address'
      USING ERRCODE = 'OM020';
  END IF;

  INSERT INTO users (id, name, email, password_hash)
  VALUES (register_user.id, register_user.name, register_user.email, register_user.password_hash);
END $$;

ALTER FUNCTION register_user OWNER TO oms_accounts;

COMMENT ON FUNCTION require_password_hash IS
  'Refuses a text that is not an argon2id hash. Part of register_user, change_password and use_password_reset.';
COMMENT ON FUNCTION register_user IS
  'Creates an account. An address that is taken violates users_email_uq.';
