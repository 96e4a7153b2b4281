-- No worker can strand an order. pg-boss writes its own tables as oms_worker, and fails a job by a DELETE and an INSERT, so
-- that login has both rights; these triggers hold it to what pg-boss does with them. They are for every writer but the
-- doors, which are checked already, and superusers, who can switch triggers off.
--
-- The order's job is in the table of its own that order_jobs.sql names, its dead letters are in job_common.

-- While an order is open, its job that waits and its dead letter that was given up stay, whatever deletes them. pg-boss's
-- retention passes them over; its fail deletes none but active ones.
CREATE OR REPLACE FUNCTION order_jobs_keep() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF current_setting('is_superuser') = 'off' AND EXISTS (
    SELECT FROM orders AS o
    WHERE o.id = CASE OLD.name WHEN 'process-order' THEN OLD.id ELSE OLD.source_root_id END
      AND o.status IN ('PENDING', 'PROCESSING')
  ) THEN
    RETURN NULL;
  END IF;
  RETURN OLD;
END $$;

-- The numbers and times of a job that pg-boss writes stay within these by far. A job beyond them would never be rescued,
-- or the views of schemas ops and audit would fail on it.
CREATE OR REPLACE FUNCTION order_jobs_bound() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF (
    NEW.retry_count BETWEEN 0 AND 1000000 AND NEW.retry_limit BETWEEN 0 AND 1000000
    AND coalesce(NEW.source_retry_count, 0) BETWEEN 0 AND 1000000
    AND NEW.expire_seconds BETWEEN 1 AND 86400 AND coalesce(NEW.heartbeat_seconds, 1) BETWEEN 1 AND 86400
    AND isfinite(NEW.created_on) AND isfinite(NEW.start_after) AND isfinite(NEW.keep_until)
    AND isfinite(coalesce(NEW.completed_on, now()))
    AND isfinite(coalesce(NEW.started_on, now())) AND coalesce(NEW.started_on, now()) <= now() + interval '1 minute'
    AND isfinite(coalesce(NEW.heartbeat_on, now())) AND coalesce(NEW.heartbeat_on, now()) <= now() + interval '1 minute'
  ) IS NOT TRUE THEN
    RAISE EXCEPTION 'job % of queue % has a number or a time that no job has', NEW.id, NEW.name
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;

-- At COMMIT: a job or dead letter that was written names its order, and the order's transaction; and an open order
-- has its job still to be done, or else a dead letter that is not settled. Not both.
CREATE OR REPLACE FUNCTION order_jobs_require() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  written  record := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
  named    uuid := CASE written.name WHEN 'process-order' THEN written.id ELSE written.source_root_id END;
  placed   orders;
  has_job  boolean;
  has_dead boolean;
BEGIN
  IF current_setting('is_superuser') = 'on' THEN
    RETURN NULL;
  END IF;
  SELECT o.* INTO placed FROM orders AS o WHERE o.id = named;
  IF TG_OP = 'INSERT' AND (placed.id IS NULL
      OR written.data ->> 'order_id' IS DISTINCT FROM placed.id::text
      OR written.data ->> 'xact_id' IS DISTINCT FROM placed.xact_id::text) THEN
    RAISE EXCEPTION 'job % of queue % does not name its order', written.id, written.name USING ERRCODE = 'OM003';
  END IF;

  IF placed.status IN ('PENDING', 'PROCESSING') THEN
    has_job := EXISTS (
      SELECT FROM order_jobs AS j WHERE j.name = 'process-order' AND j.id = placed.id AND j.state < 'completed' AND NOT j.blocked
    );
    has_dead := EXISTS (
      SELECT FROM pgboss.job AS d
      WHERE d.name = 'fail-order' AND d.source_name = 'process-order' AND d.source_root_id = placed.id
        AND d.state NOT IN ('completed', 'cancelled')
    );
    IF has_job = has_dead THEN
      RAISE EXCEPTION 'order % is % and would have %', placed.id, placed.status,
          CASE WHEN has_job THEN 'both a job and a dead letter' ELSE 'no job, so that no worker would ever process it' END
        USING ERRCODE = 'OM003';
    END IF;
  END IF;
  RETURN NULL;
END $$;

COMMENT ON FUNCTION order_jobs_bound   IS 'Refuses job rows whose numbers and times no job has.';
COMMENT ON FUNCTION order_jobs_keep    IS 'Keeps the waiting job, and the given-up dead letter, of an open order.';
COMMENT ON FUNCTION order_jobs_require IS 'At COMMIT: refuses job rows that strand an order, or forge its end (OM003).';

ALTER FUNCTION order_jobs_keep OWNER TO oms_door;
ALTER FUNCTION order_jobs_require OWNER TO oms_door;

CREATE OR REPLACE TRIGGER order_jobs_10_keep BEFORE DELETE
  ON pgboss.j926fb04c4ab3cbee69d4595a350e63c2f9d66f1b28f93ba48011350b
  FOR EACH ROW WHEN (OLD.state IN ('created', 'retry'))
  EXECUTE FUNCTION order_jobs_keep();

CREATE OR REPLACE TRIGGER order_jobs_15_bound BEFORE INSERT OR UPDATE
  ON pgboss.j926fb04c4ab3cbee69d4595a350e63c2f9d66f1b28f93ba48011350b
  FOR EACH ROW WHEN (current_user NOT IN ('oms_door', 'oms_placer')) EXECUTE FUNCTION order_jobs_bound();

CREATE OR REPLACE TRIGGER job_common_15_bound BEFORE INSERT OR UPDATE ON pgboss.job_common
  FOR EACH ROW WHEN (current_user <> 'oms_door') EXECUTE FUNCTION order_jobs_bound();

CREATE OR REPLACE TRIGGER job_common_20_keep BEFORE DELETE ON pgboss.job_common
  FOR EACH ROW WHEN (OLD.source_name = 'process-order' AND OLD.state IN ('created', 'retry', 'failed')
   )
  EXECUTE FUNCTION order_jobs_keep();

CREATE CONSTRAINT TRIGGER order_jobs_20_require_written AFTER INSERT
  ON pgboss.j926fb04c4ab3cbee69d4595a350e63c2f9d66f1b28f93ba48011350b DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (current_user NOT IN ('oms_door', 'oms_placer'))
  EXECUTE FUNCTION order_jobs_require();

CREATE CONSTRAINT TRIGGER order_jobs_30_require_settled AFTER UPDATE OF state, blocked
  ON pgboss.j926fb04c4ab3cbee69d4595a350e63c2f9d66f1b28f93ba48011350b DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (current_user <> 'oms_door' AND ((OLD.state < 'completed') <> (NEW.state < 'completed') OR NEW.blocked))
  EXECUTE FUNCTION order_jobs_require();

CREATE CONSTRAINT TRIGGER order_jobs_40_require_deleted AFTER DELETE
  ON pgboss.j926fb04c4ab3cbee69d4595a350e63c2f9d66f1b28f93ba48011350b DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (OLD.state NOT IN ('completed', 'cancelled'))
  EXECUTE FUNCTION order_jobs_require();

CREATE CONSTRAINT TRIGGER job_common_30_require_written AFTER INSERT ON pgboss.job_common
  DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (NEW.name = 'fail-order')
  EXECUTE FUNCTION order_jobs_require();

CREATE CONSTRAINT TRIGGER job_common_40_require_settled AFTER UPDATE OF state ON pgboss.job_common
  DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (NEW.name = 'fail-order' AND NEW.state <> OLD.state AND NEW.state IN ('completed', 'cancelled')
    AND current_user <> 'oms_door')
  EXECUTE FUNCTION order_jobs_require();

CREATE CONSTRAINT TRIGGER job_common_50_require_deleted AFTER DELETE ON pgboss.job_common
  DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (OLD.name = 'fail-order' AND OLD.state = 'active')
  EXECUTE FUNCTION order_jobs_require();
