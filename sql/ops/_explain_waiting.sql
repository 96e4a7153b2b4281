-- Everything that a waiting job waits for, a line each; the first is what to deal with first.
CREATE OR REPLACE FUNCTION ops._explain_waiting(job pgboss.job) RETURNS text LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
  SELECT string_agg(why, E'\n' ORDER BY rank)
  FROM (
    SELECT 1 AS rank, format('Over: its order is %s, so that the next worker to take it does nothing.', o.status) AS why
    FROM public.orders AS o
    WHERE job.name = 'process-order' AND o.id = job.id AND o.status NOT IN ('PENDING', 'PROCESSING')
    UNION ALL
    SELECT 2, format('Paused: %s paused the queue at %s: %s', p.paused_by, ops._at(p.paused_at), p.reason)
    FROM public.paused_queues AS p
    WHERE p.queue = job.name
    UNION ALL
    SELECT 3, 'No worker: no living worker takes jobs from this queue. TABLE ops.workers; start one.'
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
    SELECT 6, format('Scheduled: it is not to start before %s.', ops._at(job.start_after))
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
