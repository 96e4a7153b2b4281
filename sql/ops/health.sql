-- Dead rows, vacuum and bloat of every table of ours and of the queue, and who pins xmin.
--   psql: TABLE ops.health;
-- Most dead rows first. `vacuum_due` is the number of dead rows at which autovacuum starts. pinned_…: the
-- oldest of ops.cleanup_blockers, which keeps all vacuums from removing rows that died after it began.
CREATE OR REPLACE VIEW ops.health AS
SELECT
  s.schemaname || '.' || s.relname AS table_name,
  (SELECT q.name FROM pgboss.queue AS q WHERE s.schemaname = 'pgboss' AND q.table_name = s.relname AND q.partition)
               AS queue, -- whose jobs it holds, when it holds those of one queue only
  s.n_live_tup AS live,
  s.n_dead_tup AS dead,
  (coalesce(o.threshold, current_setting('autovacuum_vacuum_threshold')::float8)
    + coalesce(o.scale_factor, current_setting('autovacuum_vacuum_scale_factor')::float8) * s.n_live_tup
  )::bigint AS vacuum_due,
  date_trunc('second', s.last_autovacuum) AS last_autovacuum,
  date_trunc('second', s.last_vacuum)     AS last_vacuum,
  pg_size_pretty(pg_total_relation_size(s.relid)) AS size,
  pg_size_pretty(greatest(
    0, pg_relation_size(s.relid) - ops._live_bytes(s.relid, s.n_live_tup) * 100 / coalesce(o.fillfactor, 100)
  )) AS bloat_estimate,
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
    max(option_value) FILTER (WHERE option_name = 'fillfactor')::integer AS fillfactor -- room for updates is no bloat
  FROM pg_options_to_table(c.reloptions)
) AS o
LEFT JOIN (
  SELECT kind, name, pid, user_name, open_for, xact_age, query FROM ops.cleanup_blockers LIMIT 1
) AS pin ON true
WHERE s.schemaname IN ('public', 'pgboss')
ORDER BY s.n_dead_tup DESC, table_name;

COMMENT ON VIEW ops.health IS
  'Per table: live and dead rows, last autovacuum, size, bloat; and the oldest holder of xmin (ops.cleanup_blockers).';
