-- No worker can strand an order. pg-boss writes its own tables as oms_worker, and fails a job by a DELETE and an
-- INSERT, so this login has both rights. These triggers keep the login from removing the last job of an open order.
-- worker_guard.sql limits which jobs and dead letters that login can make, and how it can change them. Neither file
-- limits superusers.
--
-- The job of an order is in the queue's own table, which order_jobs.sql names. Its dead letters are in job_common.

-- Whether a superuser runs the statement as itself. A superuser that has switched to another role (SET ROLE) counts as
-- that role.
CREATE OR REPLACE FUNCTION is_superusers_own() RETURNS boolean LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
  SELECT current_setting('role') = 'none' AND r.rolsuper FROM pg_roles AS r WHERE r.rolname = session_user
$$;

-- While an order is open, its waiting job and its waiting or failed dead letter cannot be deleted: every DELETE skips
-- them, also the one of pg-boss's retention. pg-boss's fail is not affected, because it deletes only active jobs.
CREATE OR REPLACE FUNCTION order_jobs_keep() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF EXISTS (
    SELECT FROM orders AS o
    WHERE o.id = CASE OLD.name WHEN 'process-order' THEN OLD.id ELSE OLD.source_root_id END
      AND o.status IN ('PENDING', 'PROCESSING')
  ) AND NOT is_superusers_own() THEN
    RETURN NULL;
  END IF;
  RETURN OLD;
END $$;

-- At COMMIT: an open order must have a job that a worker will take, or a dead letter that a worker will take or that
-- has used up its own retries. A new dead letter must be the only job of its order.
--
-- The jobs that are left are locked FOR SHARE until the transaction ends. Suppose that an order has two, and that two
-- transactions remove one each: the second waits for the first, and is refused. A REPEATABLE READ transaction, which
-- does not see the other's change, is refused too.
CREATE OR REPLACE FUNCTION order_jobs_require() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  job      record := CASE TG_OP WHEN 'INSERT' THEN NEW ELSE OLD END;
  order_id uuid   := CASE job.name WHEN 'process-order' THEN job.id ELSE job.source_root_id END;
  jobs     integer;
  letters  integer;
BEGIN
  -- Skip superusers, and orders that have ended.
  IF is_superusers_own() OR NOT EXISTS (
    SELECT FROM orders AS o WHERE o.id = order_id AND o.status IN ('PENDING', 'PROCESSING')
  ) THEN
    RETURN NULL;
  END IF;

  -- Lock and count the jobs and the dead letters that are left.
  PERFORM FROM order_jobs AS j
  WHERE j.id = order_id AND j.data ->> 'order_id' = order_id::text AND j.state < 'completed' AND NOT j.blocked
  FOR SHARE;
  GET DIAGNOSTICS jobs = ROW_COUNT;
  PERFORM FROM pgboss.job AS d
  WHERE d.name = 'fail-order' AND d.source_root_id = order_id AND d.data ->> 'order_id' = order_id::text
    AND NOT d.blocked AND (d.state < 'completed' OR d.state = 'failed' AND d.retry_count >= d.retry_limit)
  FOR SHARE;
  GET DIAGNOSTICS letters = ROW_COUNT;

  -- Check.
  IF jobs + letters = 0 THEN
    RAISE EXCEPTION 'order % would have no job, so no worker would ever process it', order_id
      USING ERRCODE = 'OM003';
  ELSIF TG_OP = 'INSERT' AND jobs + letters > 1 THEN
    RAISE EXCEPTION 'order % would have a dead letter and another job', order_id USING ERRCODE = 'OM003';
  END IF;
  RETURN NULL;
END $$;

COMMENT ON FUNCTION is_superusers_own  IS 'Whether a superuser runs the statement, without SET ROLE.';
COMMENT ON FUNCTION order_jobs_keep    IS 'Keeps the waiting job and the unsettled dead letter of an open order.';
COMMENT ON FUNCTION order_jobs_require IS
  'At COMMIT: refuses to remove the last job of an open order, or to give it a second one (OM003).';

ALTER FUNCTION order_jobs_keep OWNER TO oms_door;
ALTER FUNCTION order_jobs_require OWNER TO oms_door;

CREATE OR REPLACE TRIGGER order_jobs_10_keep BEFORE DELETE
  ON pgboss.j926fb04c4ab3cbee69d4595a350e63c2f9d66f1b28f93ba48011350b
  FOR EACH ROW WHEN (OLD.state IN ('created', 'retry')) EXECUTE FUNCTION order_jobs_keep();

CREATE CONSTRAINT TRIGGER order_jobs_20_require_settled AFTER UPDATE OF state, blocked
  ON pgboss.j926fb04c4ab3cbee69d4595a350e63c2f9d66f1b28f93ba48011350b DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (current_user::text <> 'oms_door' AND (NEW.state > 'active' OR NEW.blocked))
  EXECUTE FUNCTION order_jobs_require();

CREATE CONSTRAINT TRIGGER order_jobs_30_require_deleted AFTER DELETE
  ON pgboss.j926fb04c4ab3cbee69d4595a350e63c2f9d66f1b28f93ba48011350b DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (OLD.state NOT IN ('completed', 'cancelled')) EXECUTE FUNCTION order_jobs_require();

CREATE OR REPLACE TRIGGER job_common_20_keep BEFORE DELETE ON pgboss.job_common
  FOR EACH ROW WHEN (OLD.source_name = 'process-order' AND OLD.state IN ('created', 'retry', 'failed'))
  EXECUTE FUNCTION order_jobs_keep();

CREATE CONSTRAINT TRIGGER job_common_30_require_settled AFTER UPDATE OF state ON pgboss.job_common
  DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (OLD.source_name = 'process-order' AND current_user::text <> 'oms_door' AND NEW.state > 'active')
  EXECUTE FUNCTION order_jobs_require();

CREATE CONSTRAINT TRIGGER job_common_40_require_deleted AFTER DELETE ON pgboss.job_common
  DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (OLD.source_name = 'process-order' AND OLD.state NOT IN ('completed', 'cancelled'))
  EXECUTE FUNCTION order_jobs_require();

CREATE CONSTRAINT TRIGGER job_common_50_require_inserted AFTER INSERT ON pgboss.job_common
  DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (NEW.source_name = 'process-order') EXECUTE FUNCTION order_jobs_require();
