-- From here on in this transaction the trail names the database role that is logged in, and this reason.
-- Called again without a reason when the work is done, so that it does not stand on what comes after.
CREATE OR REPLACE FUNCTION ops._act_as(reason text DEFAULT '') RETURNS void LANGUAGE sql
SET search_path = pg_catalog, pg_temp AS $$
  SELECT set_config('oms.actor', '', true), set_config('oms.attempts', '', true),
    set_config('oms.reason', _act_as.reason, true)
$$;

COMMENT ON FUNCTION ops._act_as IS 'Sets the reason on record, and the role as actor. Internal to schema ops.';
