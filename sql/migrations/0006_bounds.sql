-- Bounds on what workers write into the queue's tables. pg-boss writes its own tables as oms_worker, and stays within
-- these by far; a worker whose login was stolen could otherwise leave behind, for long after it is locked out: a queue
-- that no supervisor looks after, a worker that seems to live, counts of a month to come. The bounds of jobs are in
-- sql/functions/order_jobs_guard.sql: a constraint on their table would cost every order its evaluation.
--
-- Locks: each table below, for an instant: they are small.

ALTER TABLE pgboss.instance
  ADD CONSTRAINT instance_heartbeat_seconds_ck CHECK (heartbeat_seconds BETWEEN 1 AND 86400),
  ADD CONSTRAINT instance_workers_ck           CHECK (jsonb_typeof(workers) = 'array'),
  ADD CONSTRAINT instance_times_ck             CHECK (
    isfinite(started_on) AND isfinite(heartbeat_on) AND heartbeat_on <= now() + interval '1 minute'
  );

ALTER TABLE pgboss.queue
  ADD CONSTRAINT queue_times_ck CHECK (
    (monitor_on IS NULL OR isfinite(monitor_on) AND monitor_on <= now() + interval '1 minute')
    AND (monitor_claim_on IS NULL OR isfinite(monitor_claim_on) AND monitor_claim_on <= now() + interval '1 minute')
    AND (maintain_on IS NULL OR isfinite(maintain_on) AND maintain_on <= now() + interval '1 minute')
  );

-- pg-boss backs off from counting for an hour at most.
ALTER TABLE pgboss.version
  ADD CONSTRAINT version_times_ck CHECK (
    (cron_on IS NULL OR isfinite(cron_on) AND cron_on <= now() + interval '1 minute')
    AND (flow_on IS NULL OR isfinite(flow_on) AND flow_on <= now() + interval '1 minute')
    AND (reindex_on IS NULL OR isfinite(reindex_on) AND reindex_on <= now() + interval '1 minute')
    AND (monitor_backoff_on IS NULL OR isfinite(monitor_backoff_on) AND monitor_backoff_on <= now() + interval '2 hours')
  );

ALTER TABLE pgboss.queue_stats
  ADD CONSTRAINT queue_stats_captured_on_ck CHECK (captured_on <= now() + interval '1 minute');
