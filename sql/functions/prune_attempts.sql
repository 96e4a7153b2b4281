-- The nightly prune of counts that mean nothing any more, and of networks that a user no longer uses. Returns the
-- number of counts.
CREATE OR REPLACE FUNCTION prune_attempts() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  pruned integer;
BEGIN
  -- Skips locked rows instead of waiting for them, so it cannot deadlock.
  DELETE FROM known_networks AS k
  WHERE k.ctid = ANY (ARRAY(
    SELECT o.ctid FROM known_networks AS o WHERE o.seen_at < now() - interval '90 days' FOR UPDATE SKIP LOCKED
  ));
  DELETE FROM attempt_counts AS c
  WHERE c.ctid = ANY (ARRAY(
    SELECT o.ctid FROM attempt_counts AS o WHERE o.forget_at < now() FOR UPDATE SKIP LOCKED
  ));
  GET DIAGNOSTICS pruned = ROW_COUNT;
  RETURN pruned;
END $$;

ALTER FUNCTION prune_attempts OWNER TO oms_accounts;

COMMENT ON FUNCTION prune_attempts IS
  'Deletes counts of attempts that have ended, and networks without a login for 90 days. Returns the number of counts.';
