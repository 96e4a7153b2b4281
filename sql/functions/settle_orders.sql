-- The functions that a worker calls for a batch of jobs that it has claimed from pg-boss. Each is fenced: it changes a
-- job only while the attempt that the caller names is the newest one of that job. When the claim of that attempt is
-- lost, take_orders skips the job. settle_orders, complete_orders and fail_orders fail the whole call; settle_orders
-- and complete_orders do not check the job of an order that had ended before. postpone_jobs changes jobs whose attempt
-- has failed, and skips a job that has begun another attempt.
--
-- The fence of a claim is the id of the job, the number of the attempt, and the transaction that made the job. pg-boss
-- increments retry_count at each claim after the first. A job that was deleted and made again can use a number again,
-- but its data names another transaction. So no claim is mistaken for a later one. fail_orders and postpone_jobs
-- compare only the id and the number.
--
-- Triggers write versions and events. Each UPDATE of orders below fires, in this order:
--   orders_03_require_durable_commit (durable_commits.sql), once: raises synchronous_commit if it is too low.
--   orders_10_guard_update (orders_guard.sql), for each row: refuses a change of what was ordered, adds the number of
--     steps to `version`, and sets `changed_from` and `updated_at`. PENDING to COMPLETED or FAILED is two steps.
--   orders_30_record_change (orders_trail.sql), once for all rows: refuses a change that order_transitions does not
--     list (OM001), and writes one event for each step, with actor, reason, attempt, transaction and a hash that covers
--     the event and the hash of the event before it.
-- Nothing is left to check at COMMIT: no order becomes PENDING, and order_jobs_guard.sql skips what these functions do
-- to jobs.

-- Returns the actor that the trail records for a worker process <host>:<pid>.
CREATE OR REPLACE FUNCTION worker_actor(worker text) RETURNS text LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  -- NULL would be recorded as the user of the order. The pattern has no bounds: {1,253} alone takes 55 us.
  IF worker IS NULL OR length(worker) > 264 OR worker !~ '^[A-Za-z0-9._-]+:[0-9]+$' THEN
    RAISE EXCEPTION 'a worker is named <host>:<pid>, not %', coalesce(left(worker, 300), 'NULL')
      USING ERRCODE = 'OM008';
  END IF;
  RETURN 'worker:' || worker;
END $$;

-- Whether this attempt still has its claim on a job. `job_data`, `state` and `retry_count` are those of the job. This
-- function and the UPDATEs below compare the state as text. Otherwise a planner that expects few live jobs reads all of
-- them through the index on the state, including the entries of ended jobs, instead of finding a few by primary key.
CREATE OR REPLACE FUNCTION holds_claim(
  state pgboss.job_state, retry_count integer, job_data jsonb, claimed_retry_count integer, claimed_data jsonb
) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT state::text = 'active' AND retry_count = claimed_retry_count AND job_data = claimed_data
$$;

-- Returns a batch as rows. Cuts a reason to its first 1,000 characters (trail_reason), because a machine can send a
-- text of any length. ROWS 1 makes the planner expect few rows and find each job and order by its key. A plan is often
-- made while the queue is empty, and then kept.
CREATE OR REPLACE FUNCTION claimed(batch jsonb)
RETURNS TABLE (id uuid, retry_count integer, data jsonb, order_id uuid, status order_status, reason text)
LANGUAGE sql IMMUTABLE ROWS 1 SET search_path = public, pg_temp AS $$
  SELECT id, retry_count, data, order_id, status, nullif(left(reason, 1000), '')
  FROM jsonb_to_recordset(batch) AS c(
    id uuid, retry_count integer, data jsonb, order_id uuid, status order_status, reason text
  )
$$;

-- Refuses a batch that names a job twice: an UPDATE would apply an arbitrary one of the two entries.
CREATE OR REPLACE FUNCTION refuse_repeated_jobs(batch jsonb) RETURNS void LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF (SELECT count(*) <> count(DISTINCT c.id) FROM jsonb_to_recordset(batch) AS c(id uuid)) THEN
    RAISE EXCEPTION 'a batch must not name a job twice' USING ERRCODE = 'OM008';
  END IF;
END $$;

-- Sets claimed orders to PROCESSING before their external step. `batch`: an array of {id, retry_count, data}: jobs as
-- they were claimed. Returns the orders that are PROCESSING now, including those of earlier attempts. Leaves out
-- orders that have ended and jobs whose claim is lost.
CREATE OR REPLACE FUNCTION take_orders(batch jsonb, worker text, lock_timeout_ms integer)
RETURNS TABLE (
  id uuid, status order_status, version integer, user_id uuid, product_name text, amount numeric, currency text,
  metadata jsonb, created_at timestamptz, updated_at timestamptz
) LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
  actor       text := worker_actor(worker);
  claimed_ids uuid[];
BEGIN
  -- Check which claims are still valid.
  PERFORM set_config('lock_timeout', lock_timeout_ms::text, true);
  PERFORM refuse_repeated_jobs(batch);
  claimed_ids := ARRAY(
    SELECT j.id
    FROM claimed(batch) AS c
    JOIN order_jobs AS j ON j.id = c.id
    WHERE holds_claim(j.state, j.retry_count, j.data, c.retry_count, c.data)
  );

  -- Take the orders that are PENDING.
  UPDATE orders AS o
  SET status = 'PROCESSING', changed_by = actor, change_reason = NULL, change_job_id = o.id,
    change_attempt = c.retry_count + 1
  FROM claimed(batch) AS c
  WHERE o.id = c.id AND o.id = ANY (claimed_ids) AND o.status = 'PENDING';
  RETURN QUERY
    SELECT o.id, o.status, o.version, o.user_id, o.product_name::text, o.amount::numeric, o.currency::text,
      o.metadata::jsonb, o.created_at, o.updated_at
    FROM orders AS o
    WHERE o.id = ANY (claimed_ids) AND o.status = 'PROCESSING';
END $$;

-- Ends open orders and completes their jobs. `batch`: an array of {id, retry_count, data, status, reason}: jobs as
-- they were claimed, the new status of the order (COMPLETED or FAILED), and the reason. Returns the orders that this
-- call ended. Orders that had ended before, and their jobs, are left unchanged. A lost claim on the job of an open
-- order fails the whole call (OM009).
CREATE OR REPLACE FUNCTION settle_orders(batch jsonb, worker text, lock_timeout_ms integer) RETURNS uuid[]
LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
  actor   text := worker_actor(worker);
  ended   uuid[];
  settled integer;
BEGIN
  -- Check the arguments.
  PERFORM set_config('lock_timeout', lock_timeout_ms::text, true);
  PERFORM refuse_repeated_jobs(batch);
  IF EXISTS (
    SELECT FROM claimed(batch) AS c
    WHERE c.status IS NULL OR c.status NOT IN ('COMPLETED', 'FAILED')
  ) THEN
    RAISE EXCEPTION 'a worker settles orders as COMPLETED or FAILED only' USING ERRCODE = 'OM001';
  END IF;

  -- End the open orders.
  WITH changed AS (
    UPDATE orders AS o
    SET status = c.status, changed_by = actor, change_reason = c.reason,
      change_job_id = o.id, change_attempt = c.retry_count + 1
    FROM claimed(batch) AS c
    WHERE o.id = c.id AND o.status IN ('PENDING', 'PROCESSING')
    RETURNING o.id
  )
  SELECT coalesce(array_agg(changed.id), '{}') INTO ended FROM changed;

  -- Complete the jobs of these orders. The UPDATE locks each job and compares its claim: a lost claim undoes the whole
  -- call.
  UPDATE order_jobs AS j
  SET state = 'completed', completed_on = pgboss.job_now(), output = NULL
  FROM claimed(batch) AS c
  WHERE j.id = c.id AND j.id = ANY (ended)
    AND holds_claim(j.state, j.retry_count, j.data, c.retry_count, c.data);
  GET DIAGNOSTICS settled = ROW_COUNT;
  IF settled <> cardinality(ended) THEN
    RAISE EXCEPTION '% job(s) of queue process-order are no longer claimed by this attempt',
        cardinality(ended) - settled
      USING ERRCODE = 'OM009';
  END IF;
  RETURN ended;
END $$;

-- Completes claimed orders without an external step: calls settle_orders with COMPLETED for all. `batch`: an array of
-- {id, retry_count, data}.
CREATE OR REPLACE FUNCTION complete_orders(batch jsonb, worker text, lock_timeout_ms integer) RETURNS uuid[]
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT settle_orders(
    (SELECT jsonb_agg(c || '{"status": "COMPLETED"}') FROM jsonb_array_elements(batch) AS c), worker, lock_timeout_ms)
$$;

-- Sets the orders of jobs that have used up their retries to FAILED, and completes their dead letters. `batch`: an
-- array of {id, retry_count, order_id, reason}: dead letters as they were claimed. Fenced by id and attempt, because
-- the id of a dead letter is never used again. A dead letter whose order has an unfinished job fails the whole call
-- (OM009). Returns the orders that this call ended.
CREATE OR REPLACE FUNCTION fail_orders(batch jsonb, worker text, lock_timeout_ms integer) RETURNS uuid[]
LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
  actor   text := worker_actor(worker);
  ended   uuid[];
  settled integer;
BEGIN
  -- Check the arguments.
  PERFORM set_config('lock_timeout', lock_timeout_ms::text, true);
  PERFORM refuse_repeated_jobs(batch);

  -- Complete the dead letters, which locks them. Refuse the call when a claim is lost, or when an order has an
  -- unfinished job.
  UPDATE pgboss.job AS j
  SET state = 'completed', completed_on = pgboss.job_now(), output = NULL
  FROM claimed(batch) AS c
  WHERE j.name = 'fail-order' AND j.id = c.id AND j.state::text = 'active' AND j.retry_count = c.retry_count
    AND j.source_name = 'process-order' AND j.source_root_id = c.order_id;
  GET DIAGNOSTICS settled = ROW_COUNT;
  IF settled <> jsonb_array_length(batch) THEN
    RAISE EXCEPTION '% job(s) of queue fail-order are no longer claimed by this attempt',
        jsonb_array_length(batch) - settled
      USING ERRCODE = 'OM009';
  END IF;
  IF EXISTS (
    SELECT FROM jsonb_to_recordset(batch) AS c(order_id uuid)
    JOIN order_jobs AS j ON j.name = 'process-order' AND j.id = c.order_id
    WHERE j.state < 'completed'
  ) THEN
    RAISE EXCEPTION 'an order of the batch still has an unfinished job, so its dead letter must not set it FAILED'
      USING ERRCODE = 'OM009';
  END IF;

  -- End the open orders.
  WITH changed AS (
    UPDATE orders AS o
    SET status = 'FAILED', changed_by = actor, change_reason = c.reason,
      change_job_id = c.id, change_attempt = c.retry_count + 1
    FROM claimed(batch) AS c
    WHERE o.id = c.order_id AND o.status IN ('PENDING', 'PROCESSING')
    RETURNING o.id
  )
  SELECT coalesce(array_agg(changed.id), '{}') INTO ended FROM changed;
  RETURN ended;
END $$;

-- Postpones the next attempts of jobs that pg-boss has failed. `batch`: an array of {id, retry_count, seconds}:
-- failed attempts, and the shortest delay before the next one, of which at most 3600 s count. No attempt becomes
-- earlier: a job keeps its back-off when that is longer, or when `seconds` is NULL. Skips a job that has begun another
-- attempt.
CREATE OR REPLACE FUNCTION postpone_jobs(batch jsonb) RETURNS void LANGUAGE sql
SECURITY DEFINER SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
  UPDATE order_jobs AS j
  SET start_after = greatest(j.start_after, pgboss.job_now() + least(c.seconds, 3600) * interval '1 second')
  FROM jsonb_to_recordset(batch) AS c(id uuid, retry_count integer, seconds integer)
  WHERE j.id = c.id AND j.state::text = 'retry' AND j.retry_count = c.retry_count AND c.seconds IS NOT NULL
$$;

COMMENT ON FUNCTION worker_actor    IS 'The actor that the trail records for a worker <host>:<pid>.';
COMMENT ON FUNCTION claimed         IS 'A batch of claimed jobs as rows.';
COMMENT ON FUNCTION refuse_repeated_jobs IS 'Refuses a batch that names a job twice (OM008).';
COMMENT ON FUNCTION holds_claim     IS 'Whether the attempt that a worker names still has its claim on a job.';
COMMENT ON FUNCTION take_orders     IS
  'Sets claimed orders to PROCESSING, for the worker. Returns the claimed orders that are PROCESSING.';
COMMENT ON FUNCTION settle_orders   IS
  'Ends open orders and completes their claimed jobs, for the worker. Refuses: OM009 claim lost.';
COMMENT ON FUNCTION complete_orders IS
  'Completes open orders and their claimed jobs, for the worker. Refuses: OM009 claim lost.';
COMMENT ON FUNCTION postpone_jobs   IS 'Postpones the next attempts of failed jobs, for the worker.';
COMMENT ON FUNCTION fail_orders     IS
  'Sets orders FAILED whose retries are used up, for the worker. Refuses: OM009 claim lost.';

ALTER FUNCTION take_orders OWNER TO oms_door;
ALTER FUNCTION settle_orders OWNER TO oms_door;
ALTER FUNCTION complete_orders OWNER TO oms_door;
ALTER FUNCTION fail_orders OWNER TO oms_door;
ALTER FUNCTION postpone_jobs OWNER TO oms_door;
