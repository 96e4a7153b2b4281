-- Why is this job not running?   psql: SELECT ops.explain_job('…');
-- The id of an order does as well, as that is the id of its job. Answers from a handful of index look-ups.
CREATE OR REPLACE FUNCTION ops.explain_job(job_id uuid) RETURNS text LANGUAGE plpgsql STABLE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  job  pgboss.job;
  head text;
BEGIN
  SELECT j.* INTO job
  FROM pgboss.queue AS q JOIN pgboss.job AS j ON j.name = q.name AND j.id = explain_job.job_id
  ORDER BY j.name LIMIT 1;
  IF NOT FOUND THEN
    RETURN ops._explain_missing(explain_job.job_id);
  END IF;

  head := format('Job %s of queue %s', job.id, job.name) || coalesce(ops._explain_order(job), '');
  RETURN CASE
    WHEN job.state = 'active' THEN head || E'\n' || ops._explain_active(job)
    WHEN job.state < 'active' THEN head || E'\n' || ops._explain_waiting(job)
    ELSE head || E'\n' || ops._explain_ended(job)
  END;
END $$;

COMMENT ON FUNCTION ops.explain_job IS
  'Says why a job is not running, or who has it in hand, or how it ended. Refuses: OM005 unknown.';
