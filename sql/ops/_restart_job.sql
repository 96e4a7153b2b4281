-- Starts a failed job again that belongs to no order: with all its retries, and due now.
CREATE OR REPLACE FUNCTION ops._restart_job(queue text, job_id uuid, reason text) RETURNS text LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  job pgboss.job;
BEGIN
  PERFORM ops._require_reason(reason);
  SELECT j.* INTO job FROM pgboss.job AS j
  WHERE j.name = _restart_job.queue AND j.id = _restart_job.job_id FOR UPDATE NOWAIT;
  IF job.state IS DISTINCT FROM 'failed' THEN
    RAISE EXCEPTION 'job % of queue % is %', job_id, queue, coalesce(job.state::text, 'gone') USING ERRCODE = 'OM006';
  END IF;
  UPDATE pgboss.job AS j
  SET state = 'retry', retry_limit = job.retry_count + 1 + q.retry_limit, start_after = pgboss.job_now(),
    completed_on = NULL, keep_until = pgboss.job_now() + q.retention_seconds * interval '1 second'
  FROM pgboss.queue AS q
  WHERE j.name = job.name AND j.id = job.id AND q.name = j.name;
  INSERT INTO public.operator_actions (action, queue, reason, before, after)
  VALUES ('redrive', job.name, _restart_job.reason,
    jsonb_build_object('job_id', job.id, 'state', job.state, 'retry_count', job.retry_count, 'error',
      ops._error_of(job.output)),
    jsonb_build_object('job_id', job.id, 'state', 'retry', 'retry_count', job.retry_count));
  RETURN format('job %s was failed; attempt %s can start now', job.id, job.retry_count + 2);
EXCEPTION WHEN lock_not_available THEN
  RAISE EXCEPTION 'job % is locked by another transaction', job_id USING ERRCODE = 'OM007';
END $$;

COMMENT ON FUNCTION ops._restart_job IS 'Starts a failed job again that belongs to no order. Internal to schema ops.';
