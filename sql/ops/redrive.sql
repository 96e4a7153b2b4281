-- Restarts a failed job that belongs to no order. The job is due now and has all its retries.
CREATE OR REPLACE FUNCTION ops._restart_job(queue text, job_id uuid, reason text) RETURNS text LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  job pgboss.job;
BEGIN
  PERFORM ops._require_reason(reason);
  SELECT j.* INTO job FROM pgboss.job AS j
  WHERE j.name = _restart_job.queue AND j.id = _restart_job.job_id FOR UPDATE NOWAIT;
  IF job.state IS DISTINCT FROM 'failed' THEN
    RAISE EXCEPTION 'job % of queue % is %, not failed', job_id, queue, coalesce(job.state::text, 'missing')
      USING ERRCODE = 'OM006';
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

COMMENT ON FUNCTION ops._restart_job IS 'Restarts a failed job that belongs to no order. Internal to schema ops.';

-- Tries failed jobs and dead letters of a queue again, oldest first.
--   psql: SELECT * FROM ops.redrive('process-order');                                  -- shows what would happen
--   psql: SELECT * FROM ops.redrive('process-order', 500, false, 'ticket 4711: warehouse API is back');
-- Puts each order back like ops.retry_order, with a row of its own in ops.actions. Other jobs start again with all
-- their retries. A job that cannot be put back does not stop the others: its `outcome` says why. A dry run makes all
-- changes and rolls them back, so its outcomes are the real ones.
CREATE OR REPLACE FUNCTION ops.redrive(
  queue text, max_jobs integer DEFAULT 100, dry_run boolean DEFAULT true, reason text DEFAULT 'no reason given'
) RETURNS TABLE (job_id uuid, order_id uuid, done boolean, outcome text) LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  given_up record;
BEGIN
  -- Check the arguments.
  IF redrive.dry_run IS NULL THEN
    RAISE EXCEPTION 'dry_run must be true or false' USING ERRCODE = 'OM008';
  END IF;
  IF NOT redrive.dry_run THEN
    PERFORM ops._require_reason(redrive.reason);
  END IF;
  IF max_jobs IS NULL OR max_jobs NOT BETWEEN 1 AND 1000 THEN
    RAISE EXCEPTION 'max_jobs must be from 1 to 1000, not %', max_jobs USING ERRCODE = 'OM008';
  END IF;
  PERFORM ops._lock_queue(redrive.queue);

  FOR given_up IN
    SELECT j.id, j.name, coalesce(j.source_name, j.name) = 'process-order' AS is_order,
      coalesce(j.source_root_id, j.id) AS root_id
    FROM pgboss.job AS j
    WHERE j.name = redrive.queue
      AND (j.state = 'failed' OR j.state < 'active' AND j.source_name IS NOT NULL)
    ORDER BY j.created_on, j.id
    LIMIT max_jobs
  LOOP
    job_id := given_up.id;
    order_id := CASE WHEN given_up.is_order THEN given_up.root_id END;
    BEGIN
      IF given_up.is_order THEN
        outcome := ops._put_back(given_up.root_id, 'redrive', coalesce(redrive.reason, 'dry run'));
      ELSE
        outcome := ops._restart_job(given_up.name, given_up.id, coalesce(redrive.reason, 'dry run'));
      END IF;
      done := NOT redrive.dry_run;
      -- The code is OMDRY, because a handler for a code that ends in 000 catches its whole class.
      IF redrive.dry_run THEN
        RAISE EXCEPTION USING ERRCODE = 'OMDRY', MESSAGE = outcome;
      END IF;
    EXCEPTION
      WHEN SQLSTATE 'OMDRY' THEN
        outcome := 'would: ' || SQLERRM;
        done := false;
      WHEN SQLSTATE 'OM005' OR SQLSTATE 'OM006' OR SQLSTATE 'OM007' THEN
        outcome := 'left alone: ' || SQLERRM;
        done := false;
    END;
    RETURN NEXT;
  END LOOP;
END $$;

COMMENT ON FUNCTION ops.redrive IS
  'Tries failed jobs and dead letters of a queue again. A dry run unless dry_run is false. Refuses: OM005 unknown, '
  'OM007 locked, OM008 a bad argument.';

ALTER FUNCTION ops.redrive OWNER TO oms_door;
