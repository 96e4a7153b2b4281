-- A point in time as people read it: when, and how far from now.
CREATE OR REPLACE FUNCTION ops._at(moment timestamptz) RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT to_char(moment, 'YYYY-MM-DD HH24:MI:SS TZ') || CASE
    WHEN moment > clock_timestamp() THEN format(' (in %s)', date_trunc('second', moment - clock_timestamp()))
    ELSE format(' (%s ago)', date_trunc('second', clock_timestamp() - moment))
  END
$$;

COMMENT ON FUNCTION ops._at IS 'A timestamp and its distance from now. Internal to schema ops.';
