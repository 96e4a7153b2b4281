-- Returns how long an open order may be without progress before I8 reports it: 30 minutes, or the setting
-- oms.audit_bound_on_progress.
--   psql: ALTER DATABASE orders SET oms.audit_bound_on_progress = '1 hour';
CREATE OR REPLACE FUNCTION audit.bound_on_progress() RETURNS interval LANGUAGE sql STABLE AS $$
  SELECT coalesce(nullif(current_setting('oms.audit_bound_on_progress', true), ''), '30 minutes')::interval
$$;

COMMENT ON FUNCTION audit.bound_on_progress IS
  'How long an open order may be without progress: the setting oms.audit_bound_on_progress, or 30 minutes.';
