-- Deletes the expired refresh tokens, for the nightly prune. The worker cannot delete any other token. Returns the
-- number of deleted tokens.
CREATE OR REPLACE FUNCTION prune_refresh_tokens() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  pruned integer;
BEGIN
  -- Skips locked tokens instead of waiting for them, so it cannot deadlock. The next prune deletes them.
  DELETE FROM refresh_tokens AS t
  USING (
    SELECT e.id FROM refresh_tokens AS e WHERE e.expires_at < now() FOR UPDATE SKIP LOCKED
  ) AS expired
  WHERE t.id = expired.id;

  GET DIAGNOSTICS pruned = ROW_COUNT;
  RETURN pruned;
END $$;

ALTER FUNCTION prune_refresh_tokens OWNER TO oms_accounts;

COMMENT ON FUNCTION prune_refresh_tokens IS 'Deletes the refresh tokens that have expired. Returns their number.';
