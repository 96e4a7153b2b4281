-- Repairs the queue after the server's clock has stepped back. Times that were written before the step then lie in the
-- future. Without this function, until the clock reaches them, jobs of a dead worker would have a fresh heartbeat, due
-- jobs would wait, and pg-boss would supervise no queue.
--
-- Heartbeats, starts of attempts and pg-boss's own times that lie in the future become now. A job that waits gets a new
-- time to start: now, plus the wait that it had when it was made or its last attempt began. A living worker renews its
-- heartbeats within seconds, so only the jobs of dead workers are retried. Jobs that another session has locked are
-- left out; the next call repairs them.
--
-- Returns how many rows it has changed: jobs, queues, and the row of pg-boss's own times.
CREATE OR REPLACE FUNCTION repair_future_times(OUT rows_changed bigint) LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  soon CONSTANT timestamptz := now() + interval '5 seconds'; -- concurrent transactions have slightly later times
  changed bigint;
BEGIN
  WITH locked AS (
    SELECT j.name, j.id FROM pgboss.job AS j
    WHERE j.state = 'active' AND greatest(j.started_on, j.heartbeat_on) > soon
    FOR UPDATE SKIP LOCKED
  )
  UPDATE pgboss.job AS j
  SET started_on = least(j.started_on, now()), heartbeat_on = least(j.heartbeat_on, now())
  FROM locked AS l
  WHERE j.name = l.name AND j.id = l.id;
  GET DIAGNOSTICS changed = ROW_COUNT;
  rows_changed := changed;

  WITH locked AS (
    SELECT j.name, j.id FROM pgboss.job AS j
    WHERE j.state IN ('created', 'retry') AND j.start_after > soon AND greatest(j.created_on, j.started_on) > soon
      AND isfinite(j.start_after) AND isfinite(greatest(j.created_on, j.started_on))
    FOR UPDATE SKIP LOCKED
  )
  UPDATE pgboss.job AS j
  SET start_after = now() + greatest(j.start_after - greatest(j.created_on, j.started_on), interval '0')
  FROM locked AS l
  WHERE j.name = l.name AND j.id = l.id;
  GET DIAGNOSTICS changed = ROW_COUNT;
  rows_changed := rows_changed + changed;

  UPDATE pgboss.queue AS q
  SET monitor_claim_on = CASE WHEN q.monitor_claim_on > now() THEN now() ELSE q.monitor_claim_on END,
    monitor_on = CASE WHEN q.monitor_on > now() THEN now() ELSE q.monitor_on END,
    maintain_on = CASE WHEN q.maintain_on > now() THEN now() ELSE q.maintain_on END,
    retained_on = CASE WHEN q.retained_on > now() THEN now() ELSE q.retained_on END,
    delta_on = CASE WHEN q.delta_on > now() THEN now() ELSE q.delta_on END
  WHERE greatest(q.monitor_claim_on, q.monitor_on, q.maintain_on, q.retained_on, q.delta_on) > soon;
  GET DIAGNOSTICS changed = ROW_COUNT;
  rows_changed := rows_changed + changed;

  UPDATE pgboss.version AS v
  SET cron_on = CASE WHEN v.cron_on > now() THEN now() ELSE v.cron_on END,
    monitor_backoff_on = CASE
      WHEN v.monitor_backoff_on > now() + interval '1 hour' THEN now() ELSE v.monitor_backoff_on END
  WHERE v.cron_on > soon OR v.monitor_backoff_on > soon + interval '1 hour';
  GET DIAGNOSTICS changed = ROW_COUNT;
  rows_changed := rows_changed + changed;
END $$;

COMMENT ON FUNCTION repair_future_times IS
  'Repairs times of the queue that a step back of the clock has left in the future, for the worker.';

ALTER FUNCTION repair_future_times OWNER TO oms_door;
