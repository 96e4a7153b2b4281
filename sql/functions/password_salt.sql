-- The first half of a login: returns the parameters and the salt that the API needs to hash a password. The stored hash
-- never leaves the database: log_in compares it with the hash from the API. While further logins are refused
-- (attempts.sql), this function says so, before the API spends time on the hash. An email address without an account
-- gets the same limits, and NULL as salt.
CREATE OR REPLACE FUNCTION password_salt(
  email          text,
  client_address inet DEFAULT NULL,
  OUT salt       text,
  OUT refused    boolean,
  OUT used       integer,
  OUT seconds    integer
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  network CONSTANT inet := network_of(client_address);
  until   timestamptz;
BEGIN
  IF email IS NULL OR length(email) > 254 THEN
    RAISE EXCEPTION 'password_salt needs an email address of at most 254 characters' USING ERRCODE = 'OM020';
  END IF;

  until := login_refused_until(email, network, is_known_network(email, network));
  SELECT n.used, n.seconds INTO used, seconds FROM network_attempts('login', network) AS n;
  refused := until IS NOT NULL;
  IF refused THEN
    seconds := ceil(extract(epoch FROM until - clock_timestamp()));
    RETURN;
  END IF;

  -- A stored string in any other format gives NULL, so this function cannot return a part of a hash.
  SELECT substring(u.password_hash FROM
    '^([$]argon2id[$]v=19[$]m=[0-9]+,t=[0-9]+,p=[0-9]+[$][A-Za-z0-9+/]+)[$][A-Za-z0-9+/]+$')
  INTO salt
  FROM users AS u
  WHERE u.email = password_salt.email;
END $$;

ALTER FUNCTION password_salt OWNER TO oms_accounts;

COMMENT ON FUNCTION password_salt IS
  'The argon2id parameters and the salt of an account, in PHC format without the hash. NULL for an unknown address, '
  'and while logins are refused because too many have failed.';
