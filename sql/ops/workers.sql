-- Whether a process lives, as far as it is known: as pg-boss has it, one that missed three signs of life is dead. One
-- that has a heartbeat in the future is not known to live.
--   psql: SELECT host, pid FROM pgboss.instance AS i WHERE ops._alive(i);
CREATE OR REPLACE FUNCTION ops._alive(process pgboss.instance) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT process.stopped_on IS NULL
    AND process.heartbeat_on BETWEEN now() - 3::bigint * process.heartbeat_seconds * interval '1 second'
      AND now() + interval '1 minute'
$$;

COMMENT ON FUNCTION ops._alive IS 'Whether a process of pg-boss''s registry lives. Internal to schema ops.';

-- Which worker has which job in hand, as the workers say themselves. For the other views of this schema.
--   psql: SELECT * FROM ops._holds WHERE job_id = '…';
-- A row counts only as long as its job is at the same attempt: what a dead worker left behind names
-- jobs that others have taken over.
CREATE OR REPLACE VIEW ops._holds AS
SELECT
  h.queue,
  held.job_id,
  held.attempt,
  h.worker_id,
  h.poller,
  h.since,
  i.host,
  i.pid,
  i.heartbeat_on,
  i.stopped_on,
  coalesce(ops._alive(i), false) AS alive
FROM public.running_batches AS h
CROSS JOIN LATERAL unnest(h.job_ids, h.attempts) AS held (job_id, attempt)
LEFT JOIN pgboss.instance AS i ON i.id = h.worker_id;

COMMENT ON VIEW ops._holds IS 'running_batches, one row per job, with the process. Internal to schema ops.';

-- Who is alive, what they hold, since when.   psql: TABLE ops.workers;
CREATE OR REPLACE VIEW ops.workers AS
SELECT
  w.worker_id,
  w.host,
  w.pid,
  w.state,
  w.started_at,
  -- Postgres before 17 does not subtract infinite times.
  CASE WHEN isfinite(w.heartbeat_on) THEN date_trunc('milliseconds', now() - w.heartbeat_on) END AS heartbeat_ago,
  coalesce(holds.jobs, 0)                            AS jobs,
  CASE WHEN isfinite(holds.since) THEN date_trunc('milliseconds', now() - holds.since) END AS holding_for,
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
  -- Of the living it is believed. What the dead held may have been taken over: that is looked up.
  SELECT sum(CASE
    WHEN w.state = 'alive' THEN cardinality(h.job_ids)
    ELSE (
      SELECT count(*)
      FROM unnest(h.job_ids, h.attempts) AS held (job_id, attempt)
      JOIN pgboss.job AS j ON j.name = h.queue AND j.id = held.job_id
      WHERE j.state = 'active' AND j.retry_count + 1::bigint = held.attempt
    )
  END)::integer AS jobs, min(h.since) AS since
  FROM public.running_batches AS h
  WHERE h.worker_id = w.worker_id AND cardinality(h.job_ids) > 0
) AS holds ON true
WHERE w.state = 'alive' OR w.heartbeat_on > now() - interval '1 hour' OR holds.jobs > 0
ORDER BY w.state, w.started_at;

COMMENT ON VIEW ops.workers IS
  'Worker processes that are alive, hold jobs, or were there within the hour. dead: killed, hung or cut off.';
