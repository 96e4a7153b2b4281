-- Counts failed logins and other attempts, and refuses further ones for a while.
--
--   scope             counts                                  refuses after          for
--   login pair        one account from one network            5 failed logins        1 minute, doubling up to 15
--   login account     one account from networks unknown to it 30 failed logins       the same
--   login network     one network                             RATE_LIMIT_LOGIN       the rest of the minute
--   login site        one IPv6 /48                            four times as many     the rest of the minute
--   login total       all networks                            RATE_LIMIT_LOGIN_TOTAL the rest of the minute
--   KIND network/site the same for the other kinds of attempt the limit of its kind  the rest of the minute
--
-- A network is known to a user who has logged in from it in the last 90 days. A failed login from a known network
-- counts as `login pair` only, and only that scope refuses logins from there. So strangers in other networks cannot
-- lock users out of their known networks. All other failed logins count in all scopes.
--
-- An email address without an account is counted and refused in the same way.

-- Returns the network of a client: its IPv4 address, or the first 64 bits of its IPv6 address. All clients whose
-- address is unknown (NULL) count as one network.
CREATE OR REPLACE FUNCTION network_of(address inet) RETURNS inet LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE family(address)
    WHEN 4 THEN host(address)::inet
    WHEN 6 THEN network(set_masklen(address, 64))::inet
    ELSE inet '0.0.0.0' END
$$;

-- Returns the /48 of an IPv6 network, because an attacker may own all networks of a site and use one after another.
-- NULL for IPv4.
CREATE OR REPLACE FUNCTION site_of(network inet) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN family(network) = 6 THEN text(network(set_masklen(network, 48))) END
$$;

-- Returns the key of an account: a hash, so that attempt_counts does not contain the email addresses that people typed.
CREATE OR REPLACE FUNCTION account_key(email text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT encode(sha256(convert_to(email, 'UTF8')), 'hex')
$$;

-- Returns the scopes and keys that count a failed login, in the order in which their rows are locked.
CREATE OR REPLACE FUNCTION login_scopes(email text, network inet, is_known boolean)
RETURNS TABLE (scope text, key text) LANGUAGE sql IMMUTABLE AS $$
  SELECT s.scope, s.key
  FROM (VALUES
    (1, 'login pair', account_key(email) || ' ' || text(network)),
    (2, 'login account', account_key(email)),
    (3, 'login network', text(network)),
    (4, 'login site', site_of(network)),
    (5, 'login total', '')
  ) AS s(place, scope, key)
  WHERE s.key IS NOT NULL AND (s.place = 1 OR NOT is_known)
  ORDER BY s.place
$$;

-- Returns until when logins to an account from a network are refused. NULL when they are not.
CREATE OR REPLACE FUNCTION login_refused_until(email text, network inet, is_known boolean) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
  SELECT max(c.refused_until)
  FROM login_scopes(email, network, is_known) AS s
  JOIN attempt_counts AS c ON c.scope = s.scope AND c.key = s.key
  WHERE c.refused_until > clock_timestamp()
$$;

-- Whether the user with an email address has logged in from a network in the last 90 days.
CREATE OR REPLACE FUNCTION is_known_network(email text, network inet) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT FROM users AS u JOIN known_networks AS k ON k.user_id = u.id
    WHERE u.email = is_known_network.email AND k.network = is_known_network.network
      AND k.seen_at > now() - interval '90 days'
  )
$$;

-- Counts one attempt, and returns the count. When the count reaches `allowed`, further attempts are refused for the
-- rest of the minute that began with the first attempt. If `grows`, they are refused for 1 minute instead. Each further
-- attempt doubles this time, up to 15 minutes, and the count begins again after a day without an attempt.
CREATE OR REPLACE FUNCTION add_attempt(scope text, key text, allowed integer, grows boolean) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
  moment  CONSTANT timestamptz := clock_timestamp();
  kept    CONSTANT interval    := CASE WHEN grows THEN interval '1 day' ELSE interval '1 minute' END;
  counted integer;
  ends_at timestamptz;
BEGIN
  INSERT INTO attempt_counts AS c (scope, key, count, forget_at)
  VALUES (add_attempt.scope, add_attempt.key, 1, moment + kept)
  ON CONFLICT ON CONSTRAINT attempt_counts_pk DO UPDATE SET
    count     = CASE WHEN c.forget_at <= moment THEN 1 ELSE c.count + 1 END,
    forget_at = CASE WHEN c.forget_at <= moment OR grows THEN excluded.forget_at ELSE c.forget_at END
  RETURNING c.count, c.forget_at INTO counted, ends_at;
  IF counted >= allowed THEN
    UPDATE attempt_counts AS c
    SET refused_until = CASE
      WHEN grows THEN moment + least(interval '1 minute' * 2 ^ least(counted - allowed, 10), interval '15 minutes')
      ELSE ends_at END
    WHERE c.scope = add_attempt.scope AND c.key = add_attempt.key;
  END IF;
  RETURN counted;
END $$;

-- Counts an attempt of a network and, for IPv6, of its site. `used`: the attempts of the network in its current minute.
-- `refused`: whether this attempt is above the limit of the network or of the site.
CREATE OR REPLACE FUNCTION add_network_attempt(
  kind text, network inet, network_max integer, OUT used integer, OUT refused boolean
) LANGUAGE plpgsql AS $$
BEGIN
  used := add_attempt(kind || ' network', text(network), network_max, false);
  refused := used > network_max;
  IF site_of(network) IS NOT NULL THEN
    refused := add_attempt(kind || ' site', site_of(network), network_max * 4, false) > network_max * 4 OR refused;
  END IF;
END $$;

-- Returns the attempts of a network in its current minute, and the seconds until that minute ends: 60 when there are no
-- attempts.
CREATE OR REPLACE FUNCTION network_attempts(kind text, network inet, OUT used integer, OUT seconds integer)
LANGUAGE sql STABLE AS $$
  SELECT coalesce(max(c.count), 0),
    coalesce(ceil(max(extract(epoch FROM c.forget_at - clock_timestamp())))::integer, 60)
  FROM attempt_counts AS c
  WHERE c.scope = kind || ' network' AND c.key = text(network_attempts.network) AND c.forget_at > clock_timestamp()
$$;

COMMENT ON FUNCTION network_of          IS 'The network that limits count: an IPv4 address, or an IPv6 /64.';
COMMENT ON FUNCTION site_of             IS 'The /48 of an IPv6 network.';
COMMENT ON FUNCTION account_key         IS 'The key of an account in attempt_counts.';
COMMENT ON FUNCTION login_scopes        IS 'The rows of attempt_counts that count a failed login.';
COMMENT ON FUNCTION login_refused_until IS 'Until when logins to an account from a network are refused, or NULL.';
COMMENT ON FUNCTION is_known_network    IS 'Whether a user has logged in from a network in the last 90 days.';
COMMENT ON FUNCTION add_attempt         IS 'Counts one attempt. The last one allowed refuses further ones for a while.';
COMMENT ON FUNCTION add_network_attempt IS 'Counts an attempt of a network and its site.';
COMMENT ON FUNCTION network_attempts    IS 'The attempts of a network in its current minute.';
