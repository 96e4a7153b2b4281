-- Whoever acts says why: a reason that is missing or blank is refused with OM008.
CREATE OR REPLACE FUNCTION ops._require_reason(reason text) RETURNS void LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF coalesce(btrim(reason, E' \t\n\v\f\r'), '') = '' THEN
    RAISE EXCEPTION 'a reason is required: it is what the next person on call will read'
      USING ERRCODE = 'OM008', HINT = 'For instance ''ticket 4711: warehouse API was down''.';
  END IF;
END $$;

COMMENT ON FUNCTION ops._require_reason IS 'Refuses a blank reason. Internal to schema ops.';
