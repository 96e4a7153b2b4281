-- The scheduled audits, newest first.   psql: TABLE audit.runs;
CREATE OR REPLACE VIEW audit.runs AS
SELECT id, started_at, finished_at, orders, violations, cardinality(watched) AS watched
FROM audit_runs
ORDER BY id DESC;

COMMENT ON VIEW audit.runs IS
  'The violations that each scheduled audit, every 5 minutes, has found; {} means none.';
