-- A dead letter is a job too. pg-boss makes it with the retries and the retention of its queue, but without the bound
-- on the back-off between its attempts. Without that bound, the back-off doubles up to 18 hours.
CREATE OR REPLACE FUNCTION bound_dead_letter() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  SELECT q.retry_delay_max, greatest(NEW.keep_until, now() + q.retention_seconds * interval '1 second')
  INTO NEW.retry_delay_max, NEW.keep_until
  FROM pgboss.queue AS q
  WHERE q.name = NEW.name;
  RETURN NEW;
END $$;

COMMENT ON FUNCTION bound_dead_letter IS 'Gives a dead letter the back-off bound and the retention of its queue.';

-- job_common contains the jobs of all queues that have no table of their own.
CREATE OR REPLACE TRIGGER job_common_10_bound_dead_letter BEFORE INSERT ON pgboss.job_common
  FOR EACH ROW WHEN (NEW.source_name IS NOT NULL AND NEW.retry_delay_max IS NULL)
  EXECUTE FUNCTION bound_dead_letter();
