-- Whether a process is alive. As in pg-boss, a process that has missed three heartbeats is dead. A heartbeat more than
-- a minute in the future proves nothing.
--   psql: SELECT host, pid FROM pgboss.instance AS i WHERE ops._alive(i);
CREATE OR REPLACE FUNCTION ops._alive(process pgboss.instance) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT process.stopped_on IS NULL
    AND process.heartbeat_on BETWEEN now() - 3::bigint * process.heartbeat_seconds * interval '1 second'
      AND now() + interval '1 minute'
$$;

COMMENT ON FUNCTION ops._alive IS 'Whether a process of pg-boss''s registry is alive. Internal to schema ops.';

-- The jobs that workers are running, as the workers report them: one row per job. For the other views of this schema.
--   psql: SELECT * FROM ops._running_jobs WHERE job_id = '…';
-- The reader must compare `attempt` with that of the job: another worker may have taken over the jobs that a dead
-- worker had reported.
CREATE OR REPLACE VIEW ops._running_jobs AS
SELECT
  b.queue,
  running.job_id,
  running.attempt,
  b.worker_id,
  b.poller,
  b.since,
  ops._printable(i.host) AS host,
  i.pid,
  i.heartbeat_on,
  i.stopped_on,
  coalesce(ops._alive(i), false) AS alive
FROM public.running_batches AS b
CROSS JOIN LATERAL unnest(b.job_ids, b.attempts) AS running (job_id, attempt)
LEFT JOIN pgboss.instance AS i ON i.id = b.worker_id;

COMMENT ON VIEW ops._running_jobs IS 'running_batches, one row per job, with the process. Internal to schema ops.';

-- The worker processes: whether they are alive, and how many jobs they run, since when.   psql: TABLE ops.workers;
-- `jobs` is the number of claimed jobs, and `holding_for` the age of the oldest batch of them.
CREATE OR REPLACE VIEW ops.workers AS
SELECT
  w.worker_id,
  ops._printable(w.host) AS host,
  w.pid,
  w.state,
  w.started_at,
  -- Postgres before 17 does not subtract infinite times.
  CASE WHEN isfinite(w.heartbeat_on) THEN date_trunc('milliseconds', now() - w.heartbeat_on) END AS heartbeat_ago,
  coalesce(running.jobs, 0)                          AS jobs,
  CASE WHEN isfinite(running.since) THEN date_trunc('milliseconds', now() - running.since) END AS holding_for,
  w.queues
FROM (
  SELECT
    i.id AS worker_id,
    i.host,
    i.pid,
    CASE
      WHEN i.stopped_on IS NOT NULL THEN 'stopped'
      WHEN ops._alive(i) THEN 'alive'
      ELSE 'dead'
    END AS state,
    i.started_on AS started_at,
    i.heartbeat_on,
    (SELECT array_agg(DISTINCT e.entry ->> 'queue') FROM jsonb_array_elements(i.workers) AS e (entry)) AS queues
  FROM pgboss.instance AS i
  WHERE i.name = 'worker'
) AS w
LEFT JOIN LATERAL (
  -- The report of a living worker counts as it is. The jobs of any other worker may have been taken over, so each one
  -- is compared with the queue.
  SELECT sum(CASE
    WHEN w.state = 'alive' THEN cardinality(b.job_ids)
    ELSE (
      SELECT count(*)
      FROM unnest(b.job_ids, b.attempts) AS reported (job_id, attempt)
      JOIN pgboss.job AS j ON j.name = b.queue AND j.id = reported.job_id
      WHERE j.state = 'active' AND j.retry_count + 1::bigint = reported.attempt
    )
  END)::integer AS jobs, min(b.since) AS since
  FROM public.running_batches AS b
  WHERE b.worker_id = w.worker_id AND cardinality(b.job_ids) > 0
) AS running ON true
WHERE w.state = 'alive' OR w.heartbeat_on > now() - interval '1 hour' OR running.jobs > 0
ORDER BY w.state, w.started_at;

COMMENT ON VIEW ops.workers IS
  'Worker processes that are alive, run jobs, or sent a heartbeat within the last hour. dead: killed, hung or cut off.';
