-- Gives back the jobs of a dead worker now, instead of after the timeout of their heartbeat.
--   psql: SELECT ops.release_worker(worker_id, 'ticket 4714: host is gone') FROM ops.workers WHERE state = 'dead';
-- Each job can start at once and loses no retry. If the worker is alive after all, it cannot commit these attempts: the
-- next claim is another attempt. A worker that sends heartbeats is refused; kill it first.
CREATE OR REPLACE FUNCTION ops.release_worker(worker_id uuid, reason text DEFAULT 'no reason given') RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  worker     record;
  given_back jsonb;
BEGIN
  -- Check that the worker exists and is not alive.
  PERFORM ops._require_reason(release_worker.reason);
  SELECT i.host, i.pid, i.heartbeat_on, ops._alive(i) AS alive INTO worker
  FROM pgboss.instance AS i WHERE i.id = release_worker.worker_id;
  IF NOT FOUND AND NOT EXISTS (
    SELECT FROM public.running_batches AS b WHERE b.worker_id = release_worker.worker_id
  ) THEN
    RAISE EXCEPTION 'there is no worker %', worker_id
      USING ERRCODE = 'OM005', HINT = 'SELECT worker_id FROM ops.workers lists them.';
  END IF;
  IF worker.alive THEN
    RAISE EXCEPTION 'worker % (%:%) is alive: its last heartbeat was % ago', worker_id, worker.host, worker.pid,
        date_trunc('milliseconds', now() - worker.heartbeat_on)
      USING ERRCODE = 'OM006', HINT = 'Kill the process, wait until ops.workers shows it as dead, and try again.';
  END IF;

  -- Give its jobs back.
  PERFORM FROM public.running_batches AS b WHERE b.worker_id = release_worker.worker_id FOR UPDATE NOWAIT;
  WITH locked AS (
    SELECT j.name, j.id, j.retry_count
    FROM ops._running_jobs AS r
    JOIN pgboss.job AS j ON j.name = r.queue AND j.id = r.job_id AND j.retry_count + 1 = r.attempt
    WHERE r.worker_id = release_worker.worker_id AND j.state = 'active'
    FOR UPDATE OF j NOWAIT
  ), released AS (
    UPDATE pgboss.job AS j
    SET state = 'retry', retry_limit = j.retry_limit + 1, start_after = pgboss.job_now(), heartbeat_on = NULL
    FROM locked AS l
    WHERE j.name = l.name AND j.id = l.id
    RETURNING j.name, j.id, j.retry_count + 1 AS attempt
  )
  SELECT jsonb_agg(jsonb_build_object('queue', r.name, 'job_id', r.id, 'attempt', r.attempt))
  INTO given_back
  FROM released AS r;
  IF given_back IS NULL THEN
    RAISE EXCEPTION 'worker % is running no job: there is nothing to give back', worker_id
      USING ERRCODE = 'OM006', HINT = 'Other workers may have taken its jobs over. See TABLE ops.workers.';
  END IF;
  DELETE FROM public.running_batches AS b WHERE b.worker_id = release_worker.worker_id;

  -- Record the action.
  INSERT INTO public.operator_actions (action, worker_id, reason, before, after)
  VALUES ('release_worker', release_worker.worker_id, release_worker.reason,
    jsonb_build_object(
      'host', ops._printable(worker.host), 'pid', worker.pid, 'heartbeat_at', worker.heartbeat_on,
      'claimed_jobs', given_back
    ),
    jsonb_build_object('claimed_jobs', '[]'::jsonb, 'released', jsonb_array_length(given_back)));
  RETURN format('%s job(s) given back; they can start now', jsonb_array_length(given_back));
EXCEPTION WHEN lock_not_available THEN
  RAISE EXCEPTION 'jobs of worker % are locked by another transaction, which may process them or give them back',
      worker_id
    USING ERRCODE = 'OM007', HINT = 'Nothing was changed. Try again in a moment.';
END $$;

COMMENT ON FUNCTION ops.release_worker IS
  'Gives back the jobs of a dead worker. Refuses: OM005 unknown, OM006 alive or without jobs, OM007 locked, '
  'OM008 no reason.';

ALTER FUNCTION ops.release_worker OWNER TO oms_door;
