-- Bounds on what services write into the queue's tables and into keys. pg-boss writes its own tables as oms_worker, and
-- stays within these by far; a worker whose login was stolen could otherwise leave behind, for long after it is locked
-- out: jobs that no supervisor comes to rescue, a queue that no supervisor looks after, numbers that the views of
-- schemas ops and audit fail on, counts of a month to come.
--
-- Locks: each table below, while its rows are checked: the longest, the tables of jobs, about a second per million.

DO $$
DECLARE
  jobs text;
BEGIN
  FOR jobs IN SELECT DISTINCT q.table_name FROM pgboss.queue AS q LOOP
    EXECUTE format($add$
      ALTER TABLE pgboss.%I
        ADD CONSTRAINT job_numbers_ck CHECK (
          retry_count BETWEEN 0 AND 1000000 AND retry_limit BETWEEN 0 AND 1000000
          AND (source_retry_count IS NULL OR source_retry_count BETWEEN 0 AND 1000000)
          AND expire_seconds BETWEEN 1 AND 86400 AND (heartbeat_seconds IS NULL OR heartbeat_seconds BETWEEN 1 AND 86400)
        ),
        ADD CONSTRAINT job_times_ck CHECK (
          isfinite(created_on) AND isfinite(start_after) AND isfinite(keep_until)
          AND (completed_on IS NULL OR isfinite(completed_on))
          AND (started_on IS NULL OR isfinite(started_on) AND started_on <= now() + interval '1 minute')
          AND (heartbeat_on IS NULL OR isfinite(heartbeat_on) AND heartbeat_on <= now() + interval '1 minute')
        )
    $add$, jobs);
  END LOOP;
END $$;

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

ALTER TABLE idempotency_keys
  ADD CONSTRAINT idempotency_keys_lifetime_ck CHECK (expires_at <= created_at + interval '8784 hours'),
  -- The key of a POST names the order that it has placed: no other reply may stand in for that.
  ADD CONSTRAINT idempotency_keys_reply_ck    CHECK ((method = 'POST') = (status = 201));
