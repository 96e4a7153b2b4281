-- Estimates from the planner's statistics how many bytes the rows of a table need. NULL until the table is analyzed.
--   psql: SELECT ops._live_bytes('orders'::regclass, 1000);
-- SECURITY DEFINER, because Postgres shows the statistics of a column only to roles that may read the column.
CREATE OR REPLACE FUNCTION ops._live_bytes(relation oid, live_rows bigint) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  -- 28: the header of a row and its pointer. 4: rounding up to a multiple of 8, on average. 1.01: headers of pages.
  SELECT (live_rows * (28 + sum((1 - s.null_frac) * s.avg_width) + 4) * 1.01)::bigint
  FROM pg_catalog.pg_stats AS s
  WHERE (s.schemaname, s.tablename) = (
    SELECT n.nspname, c.relname
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = relation
  )
$$;

COMMENT ON FUNCTION ops._live_bytes IS 'Estimate of the bytes that a table''s rows need. Internal to schema ops.';

-- Dead rows, vacuum and bloat of every table of this service and of the queue, and the oldest blocker of vacuum. The
-- table with the most dead rows comes first.
--   psql: TABLE ops.health;
-- `vacuum_due` is the number of dead rows at which autovacuum starts. `bloat_estimate` is NULL until a table is
-- analyzed, and for the tables whose statistics oms_door may not read, such as users and refresh_tokens. `pinned_…`
-- describe the first row of ops.cleanup_blockers: until that blocker ends, no vacuum removes rows that died after it
-- began.
CREATE OR REPLACE VIEW ops.health AS
SELECT
  s.schemaname || '.' || s.relname AS table_name,
  (SELECT q.name FROM pgboss.queue AS q WHERE s.schemaname = 'pgboss' AND q.table_name = s.relname AND q.partition)
               AS queue, -- NULL for a table that is not the own table of a queue
  s.n_live_tup AS live,
  s.n_dead_tup AS dead,
  (coalesce(o.threshold, current_setting('autovacuum_vacuum_threshold')::float8)
    + coalesce(o.scale_factor, current_setting('autovacuum_vacuum_scale_factor')::float8) * s.n_live_tup
  )::bigint AS vacuum_due,
  date_trunc('second', s.last_autovacuum) AS last_autovacuum,
  date_trunc('second', s.last_vacuum)     AS last_vacuum,
  pg_size_pretty(pg_total_relation_size(s.relid)) AS size,
  pg_size_pretty(CASE WHEN need.bytes IS NOT NULL THEN greatest(0, pg_relation_size(s.relid) - need.bytes) END)
               AS bloat_estimate,
  pin.kind      AS pinned_by,
  pin.name      AS pinned_name,
  pin.pid       AS pinned_pid,
  pin.user_name AS pinned_user,
  pin.open_for  AS pinned_for,
  pin.xact_age  AS pinned_xacts,
  pin.query     AS pinned_query
FROM pg_stat_user_tables AS s
JOIN pg_class AS c ON c.oid = s.relid AND c.relkind = 'r'
CROSS JOIN LATERAL (
  SELECT
    max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_threshold')::float8    AS threshold,
    max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_scale_factor')::float8 AS scale_factor,
    -- Free space for updates is not bloat.
    max(option_value) FILTER (WHERE option_name = 'fillfactor')::integer AS fillfactor
  FROM pg_options_to_table(c.reloptions)
) AS o
CROSS JOIN LATERAL (
  SELECT ops._live_bytes(s.relid, s.n_live_tup) * 100 / coalesce(o.fillfactor, 100) AS bytes
) AS need
LEFT JOIN (
  SELECT kind, name, pid, user_name, open_for, xact_age, query FROM ops.cleanup_blockers LIMIT 1
) AS pin ON true
WHERE s.schemaname IN ('public', 'pgboss')
ORDER BY s.n_dead_tup DESC, table_name;

COMMENT ON VIEW ops.health IS
  'Per table: live and dead rows, last autovacuum, size, bloat; and the first row of ops.cleanup_blockers.';

ALTER FUNCTION ops._live_bytes OWNER TO oms_door;
