-- How many living worker processes take jobs from a queue. They say so with each sign of life, every 3 s.
CREATE OR REPLACE FUNCTION ops._alive_workers(queue text) RETURNS bigint LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
  SELECT count(*)
  FROM pgboss.instance AS i
  WHERE ops._alive(i)
    AND i.workers @> jsonb_build_array(jsonb_build_object('queue', _alive_workers.queue))
$$;

COMMENT ON FUNCTION ops._alive_workers IS 'Number of living workers of a queue. Internal to schema ops.';
