-- Settings that ALTER DATABASE … SET and ALTER ROLE … SET have made for this database, and settings of the server that
-- can make queries slower.
--   psql: TABLE ops.settings;
-- `effect` is about the service. It is `none` for settings that each connection of the service sets for itself
-- (docs/settings.md); these still apply to people in psql.
CREATE OR REPLACE VIEW ops.settings AS
SELECT
  made.scope,
  made.setting,
  made.value,
  CASE
    WHEN made.setting = 'session_replication_role' AND made.value <> 'origin'
      THEN 'a process refuses such a session: triggers may not run'
    WHEN made.setting = 'default_transaction_read_only' AND made.value NOT IN ('off', 'false', 'no', '0')
      THEN CASE made.scope WHEN 'database' THEN 'nothing is written, and requests get 503' ELSE 'none' END
    WHEN lower(made.setting) IN (
      'datestyle', 'intervalstyle', 'timezone', 'extra_float_digits', 'bytea_output', 'search_path',
      'standard_conforming_strings', 'default_transaction_isolation', 'default_transaction_deferrable',
      'quote_all_identifiers', 'transform_null_equals', 'array_nulls', 'row_security', 'plan_cache_mode', 'jit',
      'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout',
      'transaction_timeout', 'synchronous_commit', 'client_encoding')
      THEN 'none'
    WHEN made.setting LIKE 'enable\_%' OR made.scope = 'server' THEN 'plans of queries can be slower'
    ELSE 'applies'
  END AS effect
FROM (
  SELECT
    CASE
      WHEN s.setrole = 0 THEN 'database'
      ELSE format('role %s', pg_get_userbyid(s.setrole))
    END AS scope,
    split_part(c.setting, '=', 1) AS setting,
    substr(c.setting, strpos(c.setting, '=') + 1) AS value
  FROM pg_db_role_setting AS s
  LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
  CROSS JOIN unnest(s.setconfig) AS c (setting)
  WHERE s.setdatabase = 0 OR d.datname = current_database()
  UNION ALL
  SELECT 'server', p.name, p.reset_val
  FROM pg_settings AS p
  WHERE p.name LIKE 'enable\_%' AND p.boot_val = 'on' AND p.reset_val = 'off'
) AS made
ORDER BY made.scope, made.setting;

COMMENT ON VIEW ops.settings IS
  'Settings of this database, of roles and of the planner, and whether they have an effect on the service.';
