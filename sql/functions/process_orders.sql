-- Processes due jobs without claiming them. One call is one transaction: it locks each job and its order, and completes
-- the order and the job. So a killed worker strands no order, and its jobs need no rescue.
--
-- Skips jobs and orders that another session has locked, and jobs whose order is missing or not open. One order that
-- cannot be completed fails the whole call. The caller then claims jobs from pg-boss, which has retries and dead
-- letters, and completes them with complete_orders, in halves when a batch fails.
--
-- `worker`: <host>:<pid>, the actor that the trail records. `created_from`: only jobs that were created at that time or
-- later are searched. While a transaction stays open, vacuum cannot remove the index entries of jobs that were
-- completed after the transaction began. A search of all jobs reads all of these entries.
--
-- Returns one row. `order_ids`: the completed orders, the highest priority and the oldest first; they are fewer than
-- `batch_size` when no more are available. `created_until`: when the newest of their jobs was created.
CREATE OR REPLACE FUNCTION process_orders(
  batch_size integer, worker text, created_from timestamptz DEFAULT '-infinity'
) RETURNS TABLE (order_ids uuid[], created_until timestamptz) LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_sort = off AS $$
DECLARE
  actor    text := worker_actor(worker);
  job_rows tid[];
  attempts integer[]; -- counted from 1; a job that was claimed before has used up retry_count + 1 attempts
BEGIN
  -- Lock due jobs and their orders.
  SELECT array_agg(due.id), array_agg(due.row_id), array_agg(due.attempt), max(due.created_on)
  INTO order_ids, job_rows, attempts, created_until
  FROM (
    SELECT j.id, j.row_id, j.created_on,
      least(j.retry_count, 1000000000) + CASE WHEN j.started_on IS NULL THEN 1 ELSE 2 END AS attempt
    FROM order_jobs AS j
    JOIN orders AS o ON o.id = j.id
    WHERE j.state < 'active' AND NOT j.blocked AND j.start_after <= now() AND j.created_on >= created_from
      AND o.status IN ('PENDING', 'PROCESSING')
    ORDER BY j.priority DESC, j.created_on
    LIMIT batch_size
    FOR UPDATE OF j SKIP LOCKED
    FOR NO KEY UPDATE OF o SKIP LOCKED
  ) AS due;
  IF order_ids IS NULL THEN
    order_ids := '{}';
    RETURN NEXT;
    RETURN;
  END IF;

  -- Complete the orders. The UPDATE fires, in this order:
  --   orders_03_require_durable_commit (durable_commits.sql), once: raises synchronous_commit if it is too low.
  --   orders_10_guard_update (orders_guard.sql), for each row: refuses a change of what was ordered, adds the number of
  --     steps to `version`, and sets `changed_from` and `updated_at`. PENDING to COMPLETED is two steps: PROCESSING,
  --     then COMPLETED.
  --   orders_30_record_change (orders_trail.sql), once for all rows: refuses a change that order_transitions does not
  --     list (OM001), and writes one event for each step, with actor, attempt, transaction and a hash that covers the
  --     event and the hash of the event before it.
  -- Nothing is left to check at COMMIT: the order has ended, so it needs no job.
  --
  -- LIMIT makes the planner expect few rows and find each one by its key. A plan is often made while the queue is
  -- empty, and then kept.
  UPDATE orders AS o
  SET status = 'COMPLETED', changed_by = actor, change_reason = NULL, change_job_id = o.id,
    change_attempt = due.attempt
  FROM (SELECT id, attempt FROM unnest(order_ids, attempts) AS u(id, attempt) LIMIT batch_size) AS due
  WHERE o.id = due.id;

  -- Complete the jobs.
  UPDATE order_jobs AS j
  SET state = 'completed', started_on = pgboss.job_now(), completed_on = pgboss.job_now(), output = NULL,
    retry_count = due.attempt - 1
  FROM (SELECT row_id, attempt FROM unnest(job_rows, attempts) AS u(row_id, attempt) LIMIT batch_size) AS due
  WHERE j.row_id = due.row_id;
  RETURN NEXT;
END $$;

COMMENT ON FUNCTION process_orders IS 'Completes due jobs and their orders without claiming them, for the worker.';

ALTER FUNCTION process_orders OWNER TO oms_door;
