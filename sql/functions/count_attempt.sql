-- Counts a registration, a failed refresh or a password reset, for the API. `refused`: whether the network of the
-- client, or its IPv6 site, has used up its limit. While requests of that network are refused, further ones are not
-- counted and write nothing.
CREATE OR REPLACE FUNCTION count_attempt(
  kind        text,
  network     inet,
  network_max integer,
  OUT used    integer,
  OUT seconds integer,
  OUT refused boolean
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  until timestamptz;
BEGIN
  IF kind IS NULL OR kind NOT IN ('register', 'refresh', 'password-reset')
    OR network IS NULL OR network_max IS NULL OR network_max NOT BETWEEN 1 AND 1000000
  THEN
    RAISE EXCEPTION 'count_attempt needs a known kind, a network, and a limit of 1 to 1000000' USING ERRCODE = 'OM020';
  END IF;

  SELECT max(c.refused_until) INTO until
  FROM attempt_counts AS c
  WHERE (c.scope, c.key) IN ((kind || ' network', text(network)), (kind || ' site', site_of(network)))
    AND c.refused_until > clock_timestamp();
  IF until IS NULL THEN
    -- A crash may lose the counts of the last second. That is better than a wait for the disk at each request.
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT a.refused INTO refused FROM add_network_attempt(kind, network, network_max) AS a;
  END IF;
  SELECT n.used, n.seconds INTO used, seconds FROM network_attempts(kind, network) AS n;
  IF until IS NOT NULL THEN
    refused := true;
    seconds := ceil(extract(epoch FROM until - clock_timestamp()));
  END IF;
END $$;

ALTER FUNCTION count_attempt OWNER TO oms_accounts;

COMMENT ON FUNCTION count_attempt IS
  'Counts a registration, a failed refresh or a password reset of a network, and says whether it is one too many.';
