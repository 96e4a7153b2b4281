-- Gives back, now, the jobs of a worker that is dead: they wait no longer for their heartbeat to run out.
--   psql: SELECT ops.release_worker(worker_id, 'ticket 4714: host is gone') FROM ops.workers WHERE state = 'dead';
-- Each job can start at once and loses no retry. Should the worker live after all, it cannot commit: the
-- next claim is another attempt. While it shows signs of life it is refused; kill it first.
CREATE OR REPLACE FUNCTION ops.release_worker(worker_id uuid, reason text DEFAULT 'no reason given') RETURNS text LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  worker record;
  held   jsonb;
BEGIN
  PERFORM ops._require_reason(release_worker.reason);
  SELECT i.host, i.pid, i.heartbeat_on, ops._alive(i) AS alive INTO worker
  FROM pgboss.instance AS i WHERE i.id = release_worker.worker_id;
  IF NOT FOUND AND NOT EXISTS (SELECT FROM public.running_batches AS h WHERE h.worker_id = release_worker.worker_id) THEN
    RAISE EXCEPTION 'there is no worker %', worker_id
      USING ERRCODE = 'OM005', HINT = 'SELECT worker_id FROM ops.workers lists them.';
  END IF;
  IF worker.alive THEN
    RAISE EXCEPTION 'worker % (%:%) is alive: it was heard of % ago', worker_id, worker.host, worker.pid,
        date_trunc('milliseconds', now() - worker.heartbeat_on)
      USING ERRCODE = 'OM006', HINT = 'Kill the process, wait until ops.workers calls it dead, and try again.';
  END IF;

  PERFORM FROM public.running_batches AS h WHERE h.worker_id = release_worker.worker_id FOR UPDATE NOWAIT;
  WITH locked AS (
    SELECT j.name, j.id, j.retry_count
    FROM ops._holds AS h
    JOIN pgboss.job AS j ON j.name = h.queue AND j.id = h.job_id AND j.retry_count + 1 = h.attempt
    WHERE h.worker_id = release_worker.worker_id AND j.state = 'active'
    FOR UPDATE OF j NOWAIT
  ), released AS (
    UPDATE pgboss.job AS j
    SET state = 'retry', retry_limit = j.retry_limit + 1, start_after = pgboss.job_now(), heartbeat_on = NULL
    FROM locked AS l
    WHERE j.name = l.name AND j.id = l.id
    RETURNING j.name, j.id, j.retry_count + 1 AS attempt
  )
  SELECT jsonb_agg(jsonb_build_object('queue', r.name, 'job_id', r.id, 'attempt', r.attempt)) INTO held
  FROM released AS r;
  IF held IS NULL THEN
    RAISE EXCEPTION 'worker % holds no job: there is nothing to give back', worker_id
      USING ERRCODE = 'OM006', HINT = 'What it held was taken over already. TABLE ops.workers says who holds what.';
  END IF;

  DELETE FROM public.running_batches AS h WHERE h.worker_id = release_worker.worker_id;
  INSERT INTO public.operator_actions (action, worker_id, reason, before, after)
  VALUES ('release_worker', release_worker.worker_id, release_worker.reason,
    jsonb_build_object('host', worker.host, 'pid', worker.pid, 'heartbeat_at', worker.heartbeat_on, 'holds', held),
    jsonb_build_object('holds', '[]'::jsonb, 'released', jsonb_array_length(held)));
  RETURN format('%s job(s) given back, to be run at once', jsonb_array_length(held));
EXCEPTION WHEN lock_not_available THEN
  RAISE EXCEPTION 'jobs of worker % are locked by another transaction: they are being worked on, or given back', worker_id
    USING ERRCODE = 'OM007', HINT = 'Nothing was changed. Try again in a moment.';
END $$;

COMMENT ON FUNCTION ops.release_worker IS
  'Gives back the jobs of a dead worker. Refuses: OM005 unknown, OM006 alive or empty-handed, OM007 locked, OM008 no reason.';

ALTER FUNCTION ops.release_worker OWNER TO oms_door;
