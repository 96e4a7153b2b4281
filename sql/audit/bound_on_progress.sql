-- How long an open order may stand still before I8 tells of it: 30 minutes, or what the database says.
--   psql: ALTER DATABASE orders SET oms.audit_bound_on_progress = '1 hour';
CREATE OR REPLACE FUNCTION audit.bound_on_progress() RETURNS interval LANGUAGE sql STABLE AS $$
  SELECT coalesce(nullif(current_setting('oms.audit_bound_on_progress', true), ''), '30 minutes')::interval
$$;

COMMENT ON FUNCTION audit.bound_on_progress IS
  'How long an open order may be without progress: setting oms.audit_bound_on_progress, else 30 minutes.';
