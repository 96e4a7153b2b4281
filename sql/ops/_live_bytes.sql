-- About how many bytes the rows of a table need, from the planner's statistics. NULL until it is analyzed.
--   psql: SELECT ops._live_bytes('orders'::regclass, 1000);
-- SECURITY DEFINER: Postgres shows the statistics of a column only to those who may read the column.
CREATE OR REPLACE FUNCTION ops._live_bytes(relation oid, live_rows bigint) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  -- 28: the row's header and its pointer, rounded to 8; pages keep a header of 24 bytes themselves.
  SELECT (live_rows * (28 + sum((1 - s.null_frac) * s.avg_width) + 4) * 1.01)::bigint
  FROM pg_catalog.pg_stats AS s
  WHERE (s.schemaname, s.tablename) = (
    SELECT n.nspname, c.relname
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = relation
  )
$$;

COMMENT ON FUNCTION ops._live_bytes IS 'Estimate of the bytes that a table''s rows need. Internal to schema ops.';
