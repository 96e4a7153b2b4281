-- Whether a process lives, as far as it is known: as pg-boss has it, one that missed three signs of life is dead.
--   psql: SELECT host, pid FROM pgboss.instance AS i WHERE ops._alive(i);
CREATE OR REPLACE FUNCTION ops._alive(process pgboss.instance) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT process.stopped_on IS NULL
    AND process.heartbeat_on >= now() - 3 * process.heartbeat_seconds * interval '1 second'
$$;

COMMENT ON FUNCTION ops._alive IS 'Whether a process of pg-boss''s registry lives. Internal to schema ops.';
