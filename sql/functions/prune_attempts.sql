-- The nightly prune: deletes counts that would begin again at the next attempt, and known networks without a login for
-- 90 days. Returns the number of deleted counts.
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
  'Deletes old counts of attempts, and networks without a login for 90 days. Returns the number of deleted counts.';
