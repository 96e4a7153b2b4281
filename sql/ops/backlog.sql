-- The jobs of each queue that wait, run or have failed, counted by each call. Needs no worker, unlike ops.queues.
--   psql: SELECT * FROM ops.backlog();                                    -- every queue
--         SELECT ready + active FROM ops.backlog('process-order');        -- one number, for an autoscaler
-- Each count stops at 100,000; `at_least` is true when one of them has stopped there. So the cost is bounded: about
-- 0.1 s for a queue of any length. `ready`: due jobs. `deferred`: jobs that start later. `active`: claimed jobs.
-- `oldest_ready`: how long the oldest due job has been due, a year at most; NULL when no job is due. `workers`: living
-- workers of the queue.
CREATE OR REPLACE FUNCTION ops.backlog(queue text DEFAULT NULL)
RETURNS TABLE (
  queue_name text, ready integer, deferred integer, active integer, failed integer, at_least boolean,
  oldest_ready interval, workers integer
) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
  SELECT
    q.name,
    least(fresh.ready + retried.ready, 100000)::integer,
    least(fresh.deferred + retried.deferred, 100000)::integer,
    active.jobs::integer,
    failed.jobs::integer,
    greatest(fresh.ready + retried.ready, fresh.deferred + retried.deferred, active.jobs, failed.jobs) >= 100000,
    CASE WHEN least(fresh.oldest, retried.oldest) <= now()
      THEN now() - greatest(least(fresh.oldest, retried.oldest), now() - interval '1 year')
    END,
    (
      SELECT count(*)::integer FROM pgboss.instance AS i
      WHERE i.name = 'worker' AND ops._alive(i) AND EXISTS (
        SELECT FROM jsonb_array_elements(i.workers) AS e (entry) WHERE e.entry ->> 'queue' = q.name
      )
    )
  FROM pgboss.queue AS q
  -- The state is a constant in each query, because pg-boss's index _i14 covers only some states.
  CROSS JOIN LATERAL (
    SELECT
      (SELECT count(*) FROM (SELECT FROM pgboss.job AS j WHERE j.name = q.name AND j.state = 'created'
        AND NOT j.blocked AND j.start_after <= now() LIMIT 100000) AS due) AS ready,
      (SELECT count(*) FROM (SELECT FROM pgboss.job AS j WHERE j.name = q.name AND j.state = 'created'
        AND NOT j.blocked AND j.start_after > now() LIMIT 100000) AS later) AS deferred,
      (SELECT j.start_after FROM pgboss.job AS j WHERE j.name = q.name AND j.state = 'created'
        AND NOT j.blocked ORDER BY j.start_after LIMIT 1) AS oldest
  ) AS fresh
  CROSS JOIN LATERAL (
    SELECT
      (SELECT count(*) FROM (SELECT FROM pgboss.job AS j WHERE j.name = q.name AND j.state = 'retry'
        AND NOT j.blocked AND j.start_after <= now() LIMIT 100000) AS due) AS ready,
      (SELECT count(*) FROM (SELECT FROM pgboss.job AS j WHERE j.name = q.name AND j.state = 'retry'
        AND NOT j.blocked AND j.start_after > now() LIMIT 100000) AS later) AS deferred,
      (SELECT j.start_after FROM pgboss.job AS j WHERE j.name = q.name AND j.state = 'retry'
        AND NOT j.blocked ORDER BY j.start_after LIMIT 1) AS oldest
  ) AS retried
  CROSS JOIN LATERAL (
    SELECT count(*) AS jobs
    FROM (SELECT FROM pgboss.job AS j WHERE j.name = q.name AND j.state = 'active' LIMIT 100000) AS claimed
  ) AS active
  CROSS JOIN LATERAL (
    SELECT count(*) AS jobs
    FROM (SELECT FROM pgboss.job AS j WHERE j.name = q.name AND j.state = 'failed' LIMIT 100000) AS ended
  ) AS failed
  WHERE q.name NOT LIKE '\_\_pgboss\_\_%' AND (backlog.queue IS NULL OR q.name = backlog.queue)
  ORDER BY q.name
$$;

COMMENT ON FUNCTION ops.backlog IS
  'Jobs of one queue or of all that wait, run or have failed, counted now, up to 100,000 of each. Needs no worker.';

ALTER FUNCTION ops.backlog OWNER TO oms_door;
