-- Who is alive, what they hold, since when.   psql: TABLE ops.workers;
CREATE OR REPLACE VIEW ops.workers AS
SELECT
  w.worker_id,
  w.host,
  w.pid,
  w.state,
  w.started_at,
  date_trunc('milliseconds', now() - w.heartbeat_on) AS heartbeat_ago,
  coalesce(holds.jobs, 0)                            AS jobs,
  date_trunc('milliseconds', now() - holds.since)    AS holding_for,
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
      WHERE j.state = 'active' AND j.retry_count + 1 = held.attempt
    )
  END)::integer AS jobs, min(h.since) AS since
  FROM public.worker_holds AS h
  WHERE h.worker_id = w.worker_id AND cardinality(h.job_ids) > 0
) AS holds ON true
WHERE w.state = 'alive' OR w.heartbeat_on > now() - interval '1 hour' OR holds.jobs > 0
ORDER BY w.state, w.started_at;

COMMENT ON VIEW ops.workers IS
  'Worker processes that are alive, hold jobs, or were there within the hour. dead: killed, hung or cut off.';
