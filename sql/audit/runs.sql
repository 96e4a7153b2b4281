-- The scheduled audits, newest first.   psql: TABLE audit.runs;
CREATE OR REPLACE VIEW audit.runs AS
SELECT id, started_at, finished_at, orders, violations, cardinality(watched) AS watched
FROM audit_runs
ORDER BY id DESC;

COMMENT ON VIEW audit.runs IS
  'One row per scheduled audit (every 5 minutes), with the number of violations by invariant; {} means none.';
