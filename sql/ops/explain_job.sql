-- Returns a time as text, with its distance from now. An infinite time has no distance.
CREATE OR REPLACE FUNCTION ops._at(moment timestamptz) RETURNS text LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
  SELECT to_char(moment, 'YYYY-MM-DD HH24:MI:SS TZ') || CASE
    WHEN NOT isfinite(moment) THEN format('%s', moment)
    WHEN moment > clock_timestamp() THEN format(' (in %s)', date_trunc('second', moment - clock_timestamp()))
    ELSE format(' (%s ago)', date_trunc('second', clock_timestamp() - moment))
  END
$$;

COMMENT ON FUNCTION ops._at IS 'A timestamp and its distance from now. Internal to schema ops.';

-- Returns the number of living worker processes that take jobs from a queue. A worker lists its queues in each of its
-- heartbeats, every 3 s.
CREATE OR REPLACE FUNCTION ops._alive_workers(queue text) RETURNS bigint LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
  SELECT count(*)
  FROM pgboss.instance AS i
  WHERE ops._alive(i)
    AND i.workers @> jsonb_build_array(jsonb_build_object('queue', _alive_workers.queue))
$$;

COMMENT ON FUNCTION ops._alive_workers IS 'Number of living workers of a queue. Internal to schema ops.';

-- Returns the end of the first line, which has the status of the job's order. For a dead letter, adds a line about the
-- job that it comes from.
CREATE OR REPLACE FUNCTION ops._explain_order(job pgboss.job) RETURNS text LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE WHEN o.id IS NOT NULL THEN format(', order %s', o.status) ELSE '' END
    || CASE WHEN job.source_name IS NOT NULL THEN
         format(E'\nA dead letter: job %s of queue %s was given up after %s attempt(s)%s.', job.source_id,
           job.source_name, job.source_retry_count + 1, coalesce(': ' || ops._error_of(job.source_output), ''))
       ELSE '' END
  FROM (SELECT) AS one
  LEFT JOIN public.orders AS o ON o.id = CASE
    WHEN job.name = 'process-order' THEN job.id
    WHEN job.source_name = 'process-order' THEN job.source_root_id
  END
$$;

COMMENT ON FUNCTION ops._explain_order IS 'Part of ops.explain_job: the order, the source. Internal to schema ops.';

-- Says which worker runs an active job, since when, and what happens when that worker is dead.
CREATE OR REPLACE FUNCTION ops._explain_active(job pgboss.job) RETURNS text LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  worker     record; -- all NULL when no worker has reported the job
  who        text;
  lost_at    timestamptz := CASE WHEN isfinite(job.heartbeat_on)
    THEN job.heartbeat_on + job.heartbeat_seconds * interval '1 second' END;
  -- How soon a living worker sees a lost heartbeat: WORKER_POLL_SECONDS, at most 1 s, and the pause after a slow check,
  -- at most 1 s (src/queue/watcher.ts).
  supervised interval := interval '2 seconds';
BEGIN
  SELECT r.worker_id, r.host, r.pid, r.alive, r.heartbeat_on INTO worker
  FROM ops._running_jobs AS r
  WHERE r.queue = job.name AND r.job_id = job.id AND r.attempt = job.retry_count + 1
  LIMIT 1;
  who := CASE WHEN worker.worker_id IS NULL THEN 'an unknown worker, which has not reported the job'
    ELSE format('worker %s (%s:%s)', worker.worker_id, worker.host, worker.pid) END;

  IF lost_at <= clock_timestamp() THEN
    RETURN format('Heartbeat lost: attempt %s by %s. Started %s; last heartbeat %s.', job.retry_count + 1, who,
        ops._at(job.started_on), ops._at(job.heartbeat_on))
      || CASE WHEN ops._alive_workers(job.name) > 0
        THEN format(' A living worker reschedules it within %s s.', extract(epoch FROM supervised)::integer)
        ELSE ' No living worker can reschedule it: start one.' END;
  END IF;
  RETURN format('Running: attempt %s by %s. Started %s; last heartbeat %s.', job.retry_count + 1, who,
      ops._at(job.started_on), ops._at(job.heartbeat_on))
    || CASE WHEN worker.alive THEN '' WHEN worker.worker_id IS NOT NULL THEN format(
        ' But that worker is dead: its own last heartbeat was at %s. The job is given back within %s s, or now by'
          ' SELECT ops.release_worker(%L, reason).',
        ops._at(worker.heartbeat_on), ceil(extract(epoch FROM lost_at - clock_timestamp() + supervised)),
        worker.worker_id) ELSE '' END;
END $$;

COMMENT ON FUNCTION ops._explain_active IS 'Part of ops.explain_job: an active job. Internal to schema ops.';

-- Lists everything that a waiting job waits for, one line for each reason. Deal with the first line first.
CREATE OR REPLACE FUNCTION ops._explain_waiting(job pgboss.job) RETURNS text LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
  SELECT string_agg(why, E'\n' ORDER BY rank)
  FROM (
    SELECT 1 AS rank, format('Over: its order is %s, so the worker that takes it does nothing.', o.status) AS why
    FROM public.orders AS o
    WHERE job.name = 'process-order' AND o.id = job.id AND o.status NOT IN ('PENDING', 'PROCESSING')
    UNION ALL
    SELECT 2, format('Paused: %s paused the queue at %s: %s', ops._printable(p.paused_by),
      ops._at(p.paused_at), ops._printable(p.reason))
    FROM public.paused_queues AS p
    WHERE p.queue = job.name
    UNION ALL
    SELECT 3, 'No worker: no living worker takes jobs from this queue. Start one; TABLE ops.workers shows it.'
    WHERE ops._alive_workers(job.name) = 0
      AND NOT EXISTS (SELECT FROM public.paused_queues AS p WHERE p.queue = job.name)
    UNION ALL
    SELECT 4, 'Blocked: it waits for other jobs to complete first.'
    WHERE job.blocked
    UNION ALL
    SELECT 5, format('Back-off: attempt %s of %s failed (%s); the next one starts at %s.', job.retry_count + 1,
      job.retry_limit + 1, coalesce(ops._error_of(job.output), 'no error given'), ops._at(job.start_after))
    WHERE job.start_after > now() AND job.state = 'retry'
    UNION ALL
    SELECT 6, format('Scheduled: it does not start before %s.', ops._at(job.start_after))
    WHERE job.start_after > now() AND job.state <> 'retry'
    UNION ALL
    SELECT 7, format('Ready since %s: %s before it in the queue.', ops._at(greatest(job.start_after, job.created_on)),
      CASE WHEN ahead.jobs = 0 THEN 'next in line, with no job'
        WHEN ahead.jobs > 1000 THEN 'more than 1,000 jobs are'
        ELSE format('%s job(s) are', ahead.jobs) END)
    FROM (
      SELECT count(*) AS jobs
      FROM (
        SELECT FROM pgboss.job AS j
        WHERE j.name = job.name AND j.state < 'active' AND NOT j.blocked AND j.start_after <= now()
          AND (j.priority > job.priority OR j.priority = job.priority AND j.created_on < job.created_on)
        LIMIT 1001
      ) AS earlier
    ) AS ahead
    WHERE job.start_after <= now() AND NOT job.blocked
  ) AS reasons
$$;

COMMENT ON FUNCTION ops._explain_waiting IS 'Part of ops.explain_job: a waiting job. Internal to schema ops.';

-- Says how a job ended, and how to repeat it.
CREATE OR REPLACE FUNCTION ops._explain_ended(job pgboss.job) RETURNS text LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE job.state
    WHEN 'completed' THEN format('Completed at %s, by attempt %s.', ops._at(job.completed_on), job.retry_count + 1)
    WHEN 'cancelled' THEN format('Cancelled at %s%s.', ops._at(job.completed_on), coalesce((
      SELECT format(': %s cancelled the order%s', ops._printable(e.actor),
        ' (' || ops._printable(e.reason) || ')')
      FROM public.order_events AS e
      WHERE job.name = 'process-order' AND e.order_id = job.id AND e.to_status = 'CANCELLED'
    ), ''))
    ELSE format('Failed finally at %s, after %s attempt(s): %s.', ops._at(job.completed_on), job.retry_count + 1,
        coalesce(ops._error_of(job.output), 'no error given'))
      || coalesce((
        SELECT format(' Dead-lettered: job %s of queue %s, which is %s.', d.id, d.name, d.state)
        FROM pgboss.job AS d
        WHERE d.name = job.dead_letter AND d.source_root_id = coalesce(job.source_root_id, job.id)
        ORDER BY d.created_on DESC LIMIT 1
      ), '')
      || CASE WHEN job.name = 'process-order'
        THEN format(' SELECT ops.retry_order(%L, reason) tries it again.', job.id)
        ELSE format(' SELECT * FROM ops.redrive(%L) tries failed jobs again.', job.name) END
  END
$$;

COMMENT ON FUNCTION ops._explain_ended IS 'Part of ops.explain_job: a job that is over. Internal to schema ops.';

-- Explains an id that no job has: that of an order whose job is missing. Refuses an unknown id (OM005).
CREATE OR REPLACE FUNCTION ops._explain_missing(job_id uuid) RETURNS text LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  placed public.orders;
BEGIN
  SELECT o.* INTO placed FROM public.orders AS o WHERE o.id = _explain_missing.job_id;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no job %, and no order', job_id
      USING ERRCODE = 'OM005',
        HINT = 'SELECT job_id FROM ops.jobs WHERE queue = ''process-order'' LIMIT 20 shows some.';
  END IF;
  IF placed.status IN ('PENDING', 'PROCESSING') THEN
    RETURN format('Order %s is %s and has no job, so no worker will process it: SELECT ops.retry_order(%L, reason).',
      placed.id, placed.status, placed.id);
  END IF;
  RETURN format('Order %s is %s since %s. Its job is gone: jobs are deleted a day after they end.',
    placed.id, placed.status, ops._at(placed.updated_at));
END $$;

COMMENT ON FUNCTION ops._explain_missing IS 'Part of ops.explain_job: an id without a job. Internal to schema ops.';

-- Says why a job is not running.   psql: SELECT ops.explain_job('…');
-- Also takes the id of an order, because it is the id of the order's job. Needs a few index look-ups, and stops
-- counting the jobs before this one at 1,001.
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
  'Says why a job is not running, or which worker runs it, or how it ended. Refuses: OM005 unknown.';

ALTER FUNCTION ops.explain_job OWNER TO oms_door;
