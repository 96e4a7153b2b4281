-- Limits what the login of a worker can write into the tables that all workers share. pg-boss and the worker write them
-- as oms_worker, so this login has the rights. These triggers refuse rows that neither of them writes: such a row could
-- stop all workers, hide a job from them, or break the chain of the heads. The statements of pg-boss 12.38 are in its
-- file dist/plans.js.
--
-- Only oms_worker may write jobs without a door function, so the triggers on jobs apply to that login alone. Their WHEN
-- is short, because Postgres prepares it anew for each statement, also for the statements of door functions. No trigger
-- here limits superusers, or the owners of the tables, who can drop it.

-- Refuses the row: the WHEN of the trigger has found that it is wrong.
CREATE OR REPLACE FUNCTION worker_guard_refuse() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF is_superusers_own() THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'no worker writes such a row into %: a time is infinite or in the future', TG_TABLE_NAME
    USING ERRCODE = 'OM008';
END $$;

-- Checks an update of a job. A claimed job has the times by which supervise finds that its worker is lost. The number
-- of the attempt only grows. A job that has ended keeps its state. Only a job that has ended has the time from which
-- retention counts. A time that the update does not change may lie in the future, because the clock may have stepped
-- back.
CREATE OR REPLACE FUNCTION worker_guard_update() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
  IF greatest(
      CASE WHEN NEW.started_on IS DISTINCT FROM OLD.started_on THEN NEW.started_on END,
      CASE WHEN NEW.heartbeat_on IS DISTINCT FROM OLD.heartbeat_on THEN NEW.heartbeat_on END,
      CASE WHEN NEW.completed_on IS DISTINCT FROM OLD.completed_on THEN NEW.completed_on END
    ) > now() + interval '1 minute'
    OR least(NEW.started_on, NEW.heartbeat_on, NEW.completed_on) = '-infinity'
    OR NEW.retry_count < OLD.retry_count OR NEW.retry_count > NEW.retry_limit
    OR NEW.state = 'active' AND (NEW.started_on IS NULL OR NEW.heartbeat_on IS NULL)
    OR NEW.state < 'completed' AND NEW.completed_on IS NOT NULL
    OR OLD.state > 'active' AND NEW.state <> OLD.state
    OR NEW.blocked <> OLD.blocked OR NEW.pending_dependencies <> OLD.pending_dependencies
  THEN
    RAISE EXCEPTION 'job % of queue %: pg-boss never makes this update', NEW.id, NEW.name USING ERRCODE = 'OM008';
  END IF;
  RETURN NULL;
END $$;

-- Checks a row of pgboss.queue, version or instance, column by column. It reads the names of the columns when it runs.
-- A WHEN that names columns would prevent pg-boss from changing them when it upgrades its schema. A time that an update
-- does not change is not checked: it may lie in the future, because the clock may have stepped back.
CREATE OR REPLACE FUNCTION worker_guard_row() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  odd record;
BEGIN
  SELECT c.key, c.value INTO odd
  FROM jsonb_each_text(to_jsonb(NEW)) AS c
  WHERE c.value IS DISTINCT FROM to_jsonb(OLD) ->> c.key AND CASE
    WHEN c.key ~ '_(on|since)$' THEN NOT isfinite(c.value::timestamptz) OR c.value::timestamptz > now()
      + CASE c.key WHEN 'monitor_backoff_on' THEN interval '61 minutes' -- pg-boss backs off for an hour at most
        ELSE interval '1 minute' END
    WHEN c.key ~ '_count$' THEN c.value::bigint NOT BETWEEN 0 AND 1000000000
    WHEN c.key = 'heartbeat_seconds' AND TG_TABLE_NAME = 'instance' THEN c.value::bigint NOT BETWEEN 1 AND 60
  END
  LIMIT 1;
  IF FOUND AND NOT is_superusers_own() THEN
    RAISE EXCEPTION 'pg-boss never writes % = % into %', odd.key, odd.value, TG_TABLE_NAME USING ERRCODE = 'OM008';
  END IF;
  RETURN NULL;
END $$;

-- Refuses a job, unless pg-boss's fail, schedule or send makes such a job. STABLE, so its queries see the jobs as they
-- were before the statement: in one statement, fail deletes a job, inserts it again, and inserts its dead letter.
CREATE OR REPLACE FUNCTION worker_guard_insert() RETURNS trigger LANGUAGE plpgsql STABLE
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  settled CONSTANT text[] := '{state,output,start_after,completed_on,heartbeat_on}'; -- the columns that fail changes
  earlier pgboss.job;   -- the job with this id, as it was before the statement
  source  pgboss.job;   -- the job that a dead letter comes from
  q       pgboss.queue;
  fits    boolean;
BEGIN
  SELECT j.* INTO earlier FROM pgboss.job AS j WHERE j.name = NEW.name AND j.id = NEW.id;
  IF FOUND THEN
    -- fail deletes an active job and inserts it again, to be retried or as failed.
    fits := earlier.state = 'active' AND to_jsonb(NEW) - settled = to_jsonb(earlier) - settled
      AND NEW.heartbeat_on IS NULL
      AND NEW.start_after
        BETWEEN least(earlier.start_after, now()) AND greatest(earlier.start_after, now() + interval '1 hour')
      AND (
        NEW.state = 'retry' AND NEW.retry_count < NEW.retry_limit AND NEW.completed_on IS NULL
        OR NEW.state = 'failed' AND NEW.completed_on = now()
      );
  ELSE
    -- A new job has the settings of its queue, and is due within an hour.
    SELECT s.* INTO q FROM pgboss.queue AS s WHERE s.name = NEW.name;
    fits := NEW.state = 'created' AND NEW.retry_count = 0 AND NEW.pending_dependencies = 0
      AND NOT NEW.blocked AND NOT NEW.blocking
      AND num_nonnulls(NEW.started_on, NEW.heartbeat_on, NEW.completed_on, NEW.output) = 0
      AND NEW.created_on = now() AND NEW.start_after BETWEEN now() AND now() + interval '1 hour'
      AND NEW.keep_until BETWEEN now() AND NEW.start_after + q.retention_seconds * interval '1 second'
      AND (NEW.retry_limit, NEW.retry_delay, NEW.retry_backoff, NEW.expire_seconds, NEW.deletion_seconds)
        = (q.retry_limit, q.retry_delay, q.retry_backoff, q.expire_seconds, q.deletion_seconds)
      AND coalesce(NEW.retry_delay_max, q.retry_delay_max) IS NOT DISTINCT FROM q.retry_delay_max
      AND NEW.heartbeat_seconds IS NOT DISTINCT FROM q.heartbeat_seconds;
    IF num_nonnulls(NEW.source_name, NEW.source_id, NEW.source_root_id, NEW.source_retry_count) > 0 THEN
      -- A dead letter carries the data of the active job that it comes from.
      SELECT j.* INTO source FROM pgboss.job AS j WHERE j.name = NEW.source_name AND j.id = NEW.source_id;
      fits := fits AND source.state = 'active' AND NEW.name = source.dead_letter AND NEW.data = source.data
        AND NEW.priority = source.priority AND NEW.source_retry_count = source.retry_count
        AND NEW.source_root_id = coalesce(source.source_root_id, source.id);
    ELSE
      -- schedule and send make neither the job of an order (place_orders does) nor a dead letter.
      fits := fits AND NEW.name NOT IN ('process-order', 'fail-order') AND NEW.priority = 0
        AND NEW.policy = q.policy AND NEW.dead_letter IS NOT DISTINCT FROM q.dead_letter;
    END IF;
  END IF;

  IF fits IS NOT TRUE THEN
    RAISE EXCEPTION 'pg-boss never makes such a job in queue %', coalesce(NEW.name, 'NULL') USING ERRCODE = 'OM008';
  END IF;
  RETURN NEW;
END $$;

-- A new head continues the newest one, and covers only transactions that have ended.
CREATE OR REPLACE FUNCTION audit_heads_continue() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  newest    record;
  continues boolean;
BEGIN
  SELECT h.number, h.to_xid INTO newest FROM audit_heads AS h ORDER BY h.number DESC LIMIT 1;
  IF FOUND THEN
    continues := newest.number = NEW.number - 1 AND newest.to_xid = NEW.from_xid;
  ELSE
    continues := NEW.number = 1 AND NEW.from_xid = '0';
  END IF;
  continues := continues AND NEW.to_xid <= pg_snapshot_xmin(pg_current_snapshot())
    AND isfinite(NEW.created_at) AND NEW.created_at <= now() + interval '1 minute';

  IF continues IS NOT TRUE AND is_superusers_own() IS NOT TRUE THEN
    RAISE EXCEPTION 'head % does not follow the newest one, covers running transactions, or has a wrong time',
        NEW.number
      USING ERRCODE = 'OM008';
  END IF;
  RETURN NEW;
END $$;

COMMENT ON FUNCTION worker_guard_refuse  IS 'Refuses a row that no worker writes (OM008).';
COMMENT ON FUNCTION worker_guard_update  IS 'Refuses an update of a job that pg-boss never makes (OM008).';
COMMENT ON FUNCTION worker_guard_row     IS
  'Refuses a row of pg-boss with an infinite or future time, or with a number that is out of range (OM008).';
COMMENT ON FUNCTION worker_guard_insert  IS 'Refuses a job that pg-boss never makes (OM008).';
COMMENT ON FUNCTION audit_heads_continue IS 'Refuses a head that does not continue the newest one (OM008).';

ALTER FUNCTION worker_guard_refuse OWNER TO oms_door;
ALTER FUNCTION worker_guard_row OWNER TO oms_door;
ALTER FUNCTION worker_guard_insert OWNER TO oms_door;
ALTER FUNCTION audit_heads_continue OWNER TO oms_door;

CREATE OR REPLACE TRIGGER job_90_guard_insert BEFORE INSERT ON pgboss.job
  FOR EACH ROW WHEN (current_user::text = 'oms_worker')
  EXECUTE FUNCTION worker_guard_insert();

CREATE OR REPLACE TRIGGER job_91_guard_update
  AFTER UPDATE OF state, retry_count, started_on, heartbeat_on, completed_on, blocked, pending_dependencies
  ON pgboss.job
  FOR EACH ROW WHEN (current_user::text = 'oms_worker') EXECUTE FUNCTION worker_guard_update();

CREATE OR REPLACE TRIGGER queue_90_guard AFTER UPDATE ON pgboss.queue
  FOR EACH ROW WHEN (current_user NOT IN ('oms_owner', 'oms_queue')) EXECUTE FUNCTION worker_guard_row();

CREATE OR REPLACE TRIGGER version_90_guard AFTER UPDATE ON pgboss.version
  FOR EACH ROW WHEN (current_user NOT IN ('oms_owner', 'oms_queue')) EXECUTE FUNCTION worker_guard_row();

CREATE OR REPLACE TRIGGER instance_90_guard AFTER INSERT OR UPDATE ON pgboss.instance
  FOR EACH ROW WHEN (current_user NOT IN ('oms_owner', 'oms_queue')) EXECUTE FUNCTION worker_guard_row();

CREATE OR REPLACE TRIGGER running_batches_90_guard AFTER INSERT OR UPDATE ON running_batches
  FOR EACH ROW WHEN (
    current_user <> 'oms_owner' AND (NEW.since > now() + interval '1 minute' OR NEW.since = '-infinity')
  )
  EXECUTE FUNCTION worker_guard_refuse();

CREATE OR REPLACE TRIGGER audit_heads_90_continue BEFORE INSERT ON audit_heads
  FOR EACH ROW WHEN (current_user <> 'oms_owner') EXECUTE FUNCTION audit_heads_continue();

CREATE OR REPLACE TRIGGER audit_runs_90_guard AFTER INSERT ON audit_runs
  FOR EACH ROW WHEN (current_user <> 'oms_owner' AND (
    greatest(NEW.started_at, NEW.finished_at) > now() + interval '1 minute'
    OR least(NEW.started_at, NEW.finished_at) = '-infinity'
  ))
  EXECUTE FUNCTION worker_guard_refuse();
