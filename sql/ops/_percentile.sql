-- The time below which so many percent of a histogram of pg-boss lie, as its own percentile() has it: slot
-- 1 counts what took under 10 ms, each further slot ends at √2 times the one before, the last is open.
--   psql: SELECT ops._percentile('{0,5,3}', 95);
CREATE OR REPLACE FUNCTION ops._percentile(bins bigint[], percent numeric) RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT make_interval(secs => round((CASE
    WHEN slot = 1 THEN 0.01
    WHEN slot = cardinality(bins) THEN 0.01 * sqrt(2) ^ (slot - 2)
    ELSE 0.01 * sqrt(2) ^ (slot - 2 + (target - (running - n)) / n)
  END)::numeric, 3)::float8)
  FROM (
    SELECT slot, n, sum(n) OVER (ORDER BY slot) AS running, sum(n) OVER () * percent / 100 AS target
    FROM unnest(bins) WITH ORDINALITY AS b (n, slot)
    WHERE n > 0
  ) AS filled
  WHERE running >= target
  ORDER BY slot
  LIMIT 1
$$;

COMMENT ON FUNCTION ops._percentile IS 'A percentile of a wait or run histogram of pg-boss. Internal to schema ops.';
