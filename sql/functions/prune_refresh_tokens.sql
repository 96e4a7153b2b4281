-- The nightly prune of refresh tokens. It lets the worker delete expired tokens, and no others.
CREATE OR REPLACE FUNCTION prune_refresh_tokens() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  pruned integer;
BEGIN
  -- Never waits while it holds locks, so it cannot deadlock. Tokens that are locked now are deleted the next night.
  DELETE FROM refresh_tokens AS t
  USING (
    SELECT e.id FROM refresh_tokens AS e WHERE e.expires_at < now() FOR UPDATE SKIP LOCKED
  ) AS expired
  WHERE t.id = expired.id;

  GET DIAGNOSTICS pruned = ROW_COUNT;
  RETURN pruned;
END $$;

ALTER FUNCTION prune_refresh_tokens OWNER TO oms_accounts;

COMMENT ON FUNCTION prune_refresh_tokens IS 'Deletes the refresh tokens that have expired; returns how many.';
