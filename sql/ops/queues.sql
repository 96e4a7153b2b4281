-- Returns a percentile of a histogram of pg-boss, computed like pg-boss's own percentile(). Slot 1 counts times below
-- 10 ms. Each further slot ends at √2 times the end of the one before. The last slot has no end.
--   psql: SELECT ops._percentile('{0,5,3}', 95);
CREATE OR REPLACE FUNCTION ops._percentile(bins bigint[], percent numeric) RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT make_interval(secs => round((CASE
    WHEN slot = 1 THEN 0.01
    WHEN slot = cardinality(bins) THEN 0.01 * sqrt(2) ^ (slot - 2)
    ELSE 0.01 * sqrt(2) ^ (slot - 2 + (target - (running - n)) / n)
  END)::numeric, 3)::float8)
  FROM (
    SELECT slot, n, sum(n) OVER (ORDER BY slot) AS running, sum(n) OVER () * percent / 100 AS target
    FROM unnest(bins) WITH ORDINALITY AS b (n, slot)
    WHERE n > 0
  ) AS filled
  WHERE running >= target
  ORDER BY slot
  LIMIT 1
$$;

COMMENT ON FUNCTION ops._percentile IS 'A percentile of a wait or run histogram of pg-boss. Internal to schema ops.';

-- The depth, age, rates and times of each queue.   psql: TABLE ops.queues;
-- Reads the counters of pg-boss, so the view costs about the same for a long queue or a long history. The workers
-- refresh the counters every 2 s while a queue is in use (every 50 s with 1,000,000 queued jobs), else every 120 s.
-- `counted_ago` grows while no worker runs. Rates and times are those of the last 5 minutes. `wait_…` is the time from
-- when a job could start until it started; `run_…` is the time of the attempt that ended the job.
CREATE OR REPLACE VIEW ops.queues AS
SELECT
  q.name            AS queue,
  p.queue IS NOT NULL AS paused,
  q.ready_count     AS ready,
  q.active_count    AS active,
  retry.jobs        AS retrying,
  q.deferred_count  AS deferred,
  q.failed_count    AS failed,
  -- The age at the last count, plus the time since then.
  CASE WHEN q.ready_count > 0 AND isfinite(q.monitor_on)
    THEN date_trunc('second', q.ready_oldest_seconds * interval '1 second' + (now() - q.monitor_on))
  END               AS oldest_ready,
  round(60.0 * recent.completed / nullif(recent.seconds, 0), 1) AS completed_per_minute,
  round(60.0 * recent.failed / nullif(recent.seconds, 0), 1)    AS failed_per_minute,
  ops._percentile(bins.waits, 50) AS wait_p50,
  ops._percentile(bins.waits, 95) AS wait_p95,
  ops._percentile(bins.waits, 99) AS wait_p99,
  ops._percentile(bins.runs, 50)  AS run_p50,
  ops._percentile(bins.runs, 95)  AS run_p95,
  ops._percentile(bins.runs, 99)  AS run_p99,
  CASE WHEN isfinite(q.monitor_on) THEN date_trunc('second', now() - q.monitor_on) END AS counted_ago
FROM pgboss.queue AS q
LEFT JOIN public.paused_queues AS p ON p.queue = q.name
CROSS JOIN LATERAL (
  -- pg-boss counts these jobs as ready or deferred. At most 10,000 are counted here.
  SELECT count(*) AS jobs
  FROM (
    SELECT FROM pgboss.job AS j WHERE j.name = q.name AND j.state = 'retry' LIMIT 10000
  ) AS retried
) AS retry
LEFT JOIN LATERAL (
  SELECT sum(s.completed_delta) AS completed, sum(s.failed_delta) AS failed, sum(s.delta_seconds) AS seconds
  FROM pgboss.queue_stats AS s
  WHERE s.name = q.name AND s.captured_on > now() - interval '5 minutes'
) AS recent ON true
LEFT JOIN LATERAL (
  SELECT array_agg(waits ORDER BY slot) AS waits, array_agg(runs ORDER BY slot) AS runs
  FROM (
    SELECT b.slot, sum(b.waits) AS waits, sum(b.runs) AS runs
    FROM pgboss.queue_stats AS s
    CROSS JOIN LATERAL unnest(s.wait_bins, s.run_bins) WITH ORDINALITY AS b (waits, runs, slot)
    WHERE s.name = q.name AND s.captured_on > now() - interval '5 minutes'
      AND s.completed_delta::bigint + s.failed_delta > 0
    GROUP BY b.slot
  ) AS slots
) AS bins ON true
WHERE q.name NOT LIKE '\_\_pgboss\_\_%'
ORDER BY q.name;

COMMENT ON VIEW ops.queues IS
  'Depth, age, rates and times of every queue. counted_ago is the age of the figures; rates and times cover 5 minutes.';
