-- The sessions, prepared transactions, replication slots and standbys that keep VACUUM from removing dead rows, because
-- they pin xmin. The oldest comes first.   psql: TABLE ops.cleanup_blockers;
-- A row that was deleted less than `xact_age` transactions ago cannot be removed before the blocker ends.
CREATE OR REPLACE VIEW ops.cleanup_blockers AS
SELECT kind, ops._printable(name) AS name, pid, ops._printable(user_name) AS user_name,
  ops._printable(application) AS application, xact_age, open_for, state, ops._printable(query) AS query,
  ops._printable(remedy) AS remedy
FROM (
  SELECT
    'session' AS kind, a.pid::text AS name, a.pid, a.usename::text AS user_name,
    a.application_name AS application, age(a.backend_xmin) AS xact_age,
    date_trunc('milliseconds', clock_timestamp() - a.xact_start) AS open_for, a.state,
    left(a.query, 300) AS query, format('SELECT pg_terminate_backend(%s)', a.pid) AS remedy
  FROM pg_stat_activity AS a
  WHERE a.backend_xmin IS NOT NULL AND a.pid <> pg_backend_pid()
    AND a.backend_type <> 'walsender' -- listed below as a standby
    -- A VACUUM pins nothing: Postgres ignores its snapshot when it looks for the oldest one.
    AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum AS v WHERE v.pid = a.pid)
    AND (a.datname IS NULL OR a.datname = current_database())
  UNION ALL
  SELECT
    'prepared transaction', p.gid, NULL, p.owner::text, NULL, age(p.transaction),
    date_trunc('milliseconds', clock_timestamp() - p.prepared), NULL, NULL, format('ROLLBACK PREPARED %L', p.gid)
  FROM pg_prepared_xacts AS p
  WHERE p.database = current_database()
  UNION ALL
  SELECT
    'replication slot', s.slot_name::text, s.active_pid, NULL, NULL,
    greatest(age(s.xmin), age(s.catalog_xmin)), NULL, CASE WHEN s.active THEN 'active' ELSE 'inactive' END, NULL,
    format('SELECT pg_drop_replication_slot(%L)', s.slot_name)
  FROM pg_replication_slots AS s
  WHERE s.xmin IS NOT NULL OR s.catalog_xmin IS NOT NULL
  UNION ALL
  SELECT
    'standby', coalesce(r.client_addr::text, 'local'), r.pid, r.usename::text, r.application_name,
    age(r.backend_xmin), NULL, r.state, NULL, 'end the long query on the standby'
  FROM pg_stat_replication AS r
  WHERE r.backend_xmin IS NOT NULL
) AS holder
ORDER BY xact_age DESC, open_for DESC NULLS LAST;

COMMENT ON VIEW ops.cleanup_blockers IS
  'Sessions, prepared transactions, slots and standbys that pin xmin, oldest first. Short-lived rows are normal.';
