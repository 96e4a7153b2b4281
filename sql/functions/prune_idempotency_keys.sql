-- Deletes at most `batch_size` (1 to 100,000) expired keys, the oldest first, and returns their number. Skips a key
-- that is locked, for example by a request that uses the key again.
CREATE OR REPLACE FUNCTION prune_idempotency_keys(batch_size integer) RETURNS integer LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  pruned integer;
BEGIN
  IF batch_size IS NULL OR batch_size NOT BETWEEN 1 AND 100000 THEN
    RAISE EXCEPTION 'a batch is 1 to 100000 keys, not %', batch_size USING ERRCODE = 'OM008';
  END IF;
  DELETE FROM idempotency_keys AS k
  WHERE k.ctid = ANY (ARRAY(
    SELECT e.ctid FROM idempotency_keys AS e
    WHERE e.expires_at <= now()
    ORDER BY e.expires_at
    LIMIT batch_size
    FOR UPDATE SKIP LOCKED
  ));
  GET DIAGNOSTICS pruned = ROW_COUNT;
  RETURN pruned;
END $$;

COMMENT ON FUNCTION prune_idempotency_keys IS 'Deletes expired idempotency keys, for the worker. Returns their number.';

ALTER FUNCTION prune_idempotency_keys OWNER TO oms_door;
