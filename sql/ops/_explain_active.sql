-- Who has an active job in hand, since when, and what happens when they are no more.
CREATE OR REPLACE FUNCTION ops._explain_active(job pgboss.job) RETURNS text LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  holder   record;
  lost_at  timestamptz := job.heartbeat_on + job.heartbeat_seconds * interval '1 second';
  -- How often living workers look for jobs whose heartbeat is lost: superviseIntervalSeconds in src/db/boss.ts.
  look     interval := interval '2 seconds';
  who      text;
BEGIN
  SELECT h.worker_id, h.host, h.pid, h.alive, h.heartbeat_on INTO holder
  FROM ops._holds AS h
  WHERE h.queue = job.name AND h.job_id = job.id AND h.attempt = job.retry_count + 1
  LIMIT 1;
  who := CASE WHEN holder.worker_id IS NULL THEN 'a worker that has not said who it is'
    ELSE format('worker %s (%s:%s)', holder.worker_id, holder.host, holder.pid) END;

  IF lost_at <= clock_timestamp() THEN
    RETURN format('Heartbeat lost: %s had attempt %s in hand since %s and was last heard of %s.', who,
        job.retry_count + 1, ops._at(job.started_on), ops._at(job.heartbeat_on))
      || CASE WHEN ops._alive_workers(job.name) > 0
        THEN format(' A living worker reschedules it within %s s.', extract(epoch FROM look)::integer)
        ELSE ' No living worker is there to reschedule it: start one.' END;
  END IF;
  RETURN format('Running: %s has attempt %s in hand since %s, last heartbeat %s.', who, job.retry_count + 1,
      ops._at(job.started_on), ops._at(job.heartbeat_on))
    || CASE WHEN holder.alive THEN '' WHEN holder.worker_id IS NOT NULL THEN format(
        ' But that worker is dead: it was last heard of %s. The job is given back within %s s, or now by'
          ' SELECT ops.release_worker(%L, reason).',
        ops._at(holder.heartbeat_on), ceil(extract(epoch FROM lost_at - clock_timestamp() + look)),
        holder.worker_id) ELSE '' END;
END $$;

COMMENT ON FUNCTION ops._explain_active IS 'Part of ops.explain_job: an active job. Internal to schema ops.';
