-- What a worker does with jobs that it has claimed from pg-boss. Each door takes a batch, does everything or nothing,
-- and is fenced: it acts on a job only while the claim that the caller names still holds.
--
-- The fence is the job's id, the number of the attempt, and the transaction that has made the job. pg-boss counts
-- retry_count up at each claim; a job that was deleted and made again counts from anew, but has another maker. So no
-- claim is ever mistaken for a later one.

-- The actor on record for a worker process, from its <host>:<pid>.
CREATE OR REPLACE FUNCTION worker_actor(worker text) RETURNS text LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  -- NULL would be recorded as the order's own user.
  IF worker IS NULL OR worker !~ '^[A-Za-z0-9._-]{1,253}:[0-9]{1,10}$' THEN
    RAISE EXCEPTION 'a worker is named <host>:<pid>, not %', coalesce(worker, 'NULL') USING ERRCODE = 'OM008';
  END IF;
  RETURN 'worker:' || worker;
END $$;

-- Whether a job is still claimed by this attempt. `job_data`, `state` and `retry_count` are the job's.
-- Here and below the state is compared as text: a planner that believes that few jobs are live would otherwise read
-- all of those by their index, with the entries of jobs that have ended meanwhile, instead of a few by primary key.
CREATE OR REPLACE FUNCTION holds_claim(
  state pgboss.job_state, retry_count integer, job_data jsonb, claimed_retry_count integer, claimed_data jsonb
) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT state::text = 'active' AND retry_count = claimed_retry_count AND job_data = claimed_data
$$;

-- A batch as rows. ROWS 1: so that the planner takes them for few, and looks each job and order up by its key. Plans are
-- made while the queue is empty, and kept.
CREATE OR REPLACE FUNCTION claimed(batch jsonb)
RETURNS TABLE (id uuid, retry_count integer, data jsonb, order_id uuid, status order_status, reason text)
LANGUAGE sql IMMUTABLE ROWS 1 SET search_path = public, pg_temp AS $$
  SELECT id, retry_count, data, order_id, status, reason
  FROM jsonb_to_recordset(batch) AS c(
    id uuid, retry_count integer, data jsonb, order_id uuid, status order_status, reason text
  )
$$;

-- A batch names each job once: of two entries for one job, an UPDATE would take either.
CREATE OR REPLACE FUNCTION refuse_repeated_jobs(batch jsonb) RETURNS void LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF (SELECT count(*) <> count(DISTINCT c.id) FROM jsonb_to_recordset(batch) AS c(id uuid)) THEN
    RAISE EXCEPTION 'a batch names each job once' USING ERRCODE = 'OM008';
  END IF;
END $$;

-- Takes claimed orders into PROCESSING before their external step. `batch`: an array of {id, retry_count, data}: jobs
-- as they were claimed. Returns the orders that are PROCESSING now, those of earlier attempts included. Orders that
-- are over, and jobs whose claim is lost, are not among them.
CREATE OR REPLACE FUNCTION take_orders(batch jsonb, worker text, lock_timeout_ms integer)
RETURNS TABLE (
  id uuid, status order_status, version integer, user_id uuid, product_name text, amount numeric, currency text,
  metadata jsonb, created_at timestamptz, updated_at timestamptz
) LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
  held uuid[];
BEGIN
  PERFORM set_config('lock_timeout', lock_timeout_ms::text, true);
  PERFORM refuse_repeated_jobs(batch);
  held := ARRAY(
    SELECT j.id
    FROM claimed(batch) AS c
    JOIN order_jobs AS j ON j.id = c.id
    WHERE holds_claim(j.state, j.retry_count, j.data, c.retry_count, c.data)
  );
  UPDATE orders AS o
  SET status = 'PROCESSING', changed_by = worker_actor(worker), change_reason = NULL, change_job_id = o.id,
    change_attempt = c.retry_count + 1
  FROM claimed(batch) AS c
  WHERE o.id = c.id AND o.id = ANY (held) AND o.status = 'PENDING';
  RETURN QUERY
    SELECT o.id, o.status, o.version, o.user_id, o.product_name::text, o.amount::numeric, o.currency::text,
      o.metadata::jsonb, o.created_at, o.updated_at
    FROM orders AS o
    WHERE o.id = ANY (held) AND o.status = 'PROCESSING';
END $$;

-- Ends orders that are open, and completes the jobs of those. `batch`: an array of {id, retry_count, data, status,
-- reason}: jobs as they were claimed, the order's status to be (COMPLETED or FAILED), and why. Returns the orders that
-- have ended; the others were over already, and nothing was done to them or to their jobs. A claim that is lost fails
-- the whole call (OM009).
CREATE OR REPLACE FUNCTION settle_orders(batch jsonb, worker text, lock_timeout_ms integer) RETURNS uuid[]
LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
  ended   uuid[];
  settled integer;
BEGIN
  PERFORM set_config('lock_timeout', lock_timeout_ms::text, true);
  PERFORM refuse_repeated_jobs(batch);
  IF EXISTS (
    SELECT FROM claimed(batch) AS c
    WHERE c.status IS NULL OR c.status NOT IN ('COMPLETED', 'FAILED')
  ) THEN
    RAISE EXCEPTION 'a worker settles orders as COMPLETED or FAILED only' USING ERRCODE = 'OM001';
  END IF;

  WITH changed AS (
    UPDATE orders AS o
    SET status = c.status, changed_by = worker_actor(worker), change_reason = nullif(c.reason, ''),
      change_job_id = o.id, change_attempt = c.retry_count + 1
    FROM claimed(batch) AS c
    WHERE o.id = c.id AND o.status IN ('PENDING', 'PROCESSING')
    RETURNING o.id
  )
  SELECT coalesce(array_agg(changed.id), '{}') INTO ended FROM changed;

  UPDATE order_jobs AS j
  SET state = 'completed', completed_on = pgboss.job_now(), output = NULL
  FROM claimed(batch) AS c
  WHERE j.id = c.id AND j.id = ANY (ended)
    AND holds_claim(j.state, j.retry_count, j.data, c.retry_count, c.data);
  GET DIAGNOSTICS settled = ROW_COUNT;
  IF settled <> cardinality(ended) THEN
    RAISE EXCEPTION '% job(s) of queue process-order are no longer claimed by this attempt', cardinality(ended) - settled
      USING ERRCODE = 'OM009';
  END IF;
  RETURN ended;
END $$;

-- Completes claimed orders without an external step: settle_orders, with COMPLETED for all. `batch`: an array of
-- {id, retry_count, data}.
CREATE OR REPLACE FUNCTION complete_orders(batch jsonb, worker text, lock_timeout_ms integer) RETURNS uuid[]
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT settle_orders(
    (SELECT jsonb_agg(c || '{"status": "COMPLETED"}') FROM jsonb_array_elements(batch) AS c), worker, lock_timeout_ms)
$$;

-- Sets orders FAILED whose jobs have used up their retries, and completes their dead letters. `batch`: an array of
-- {id, retry_count, order_id, reason}: dead letters as they were claimed. Fenced like settle_orders (the id of a dead
-- letter is never used again); a dead letter does nothing while its order's own job is still to be done (OM009).
-- Returns the orders that have ended.
CREATE OR REPLACE FUNCTION fail_orders(batch jsonb, worker text, lock_timeout_ms integer) RETURNS uuid[]
LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
  ended   uuid[];
  settled integer;
BEGIN
  PERFORM set_config('lock_timeout', lock_timeout_ms::text, true);
  PERFORM refuse_repeated_jobs(batch);
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
    RAISE EXCEPTION 'an order whose job is still to be done has not used up its retries' USING ERRCODE = 'OM009';
  END IF;

  WITH changed AS (
    UPDATE orders AS o
    SET status = 'FAILED', changed_by = worker_actor(worker), change_reason = nullif(c.reason, ''),
      change_job_id = c.id, change_attempt = c.retry_count + 1
    FROM claimed(batch) AS c
    WHERE o.id = c.order_id AND o.status IN ('PENDING', 'PROCESSING')
    RETURNING o.id
  )
  SELECT coalesce(array_agg(changed.id), '{}') INTO ended FROM changed;
  RETURN ended;
END $$;

-- Puts off the next attempts of jobs that pg-boss has failed: they start no sooner than in so many seconds. `batch`: an
-- array of {id, retry_count, seconds}: attempts that have failed. A job that has begun another attempt is left alone.
CREATE OR REPLACE FUNCTION postpone_jobs(batch jsonb) RETURNS void LANGUAGE sql
SECURITY DEFINER SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
  UPDATE order_jobs AS j
  SET start_after = pgboss.job_now() + least(c.seconds, 3600) * interval '1 second'
  FROM jsonb_to_recordset(batch) AS c(id uuid, retry_count integer, seconds integer)
  WHERE j.id = c.id AND j.state::text = 'retry' AND j.retry_count = c.retry_count
$$;

COMMENT ON FUNCTION worker_actor    IS 'The actor on record for a worker <host>:<pid>.';
COMMENT ON FUNCTION claimed         IS 'A batch of claimed jobs as rows.';
COMMENT ON FUNCTION refuse_repeated_jobs IS 'Refuses a batch that names a job twice (OM008).';
COMMENT ON FUNCTION holds_claim     IS 'Whether a job is still claimed by the attempt that a worker names.';
COMMENT ON FUNCTION take_orders     IS 'Takes claimed orders into PROCESSING, for the worker. Returns those that are.';
COMMENT ON FUNCTION settle_orders   IS 'Ends open orders and completes their claimed jobs, for the worker. Refuses: OM009 claim lost.';
COMMENT ON FUNCTION complete_orders IS 'Completes open orders and their claimed jobs, for the worker. Refuses: OM009 claim lost.';
COMMENT ON FUNCTION postpone_jobs   IS 'Puts off the next attempts of failed jobs, for the worker.';
COMMENT ON FUNCTION fail_orders     IS 'Sets orders FAILED whose retries are used up, for the worker. Refuses: OM009 claim lost.';

ALTER FUNCTION take_orders OWNER TO oms_door;
ALTER FUNCTION settle_orders OWNER TO oms_door;
ALTER FUNCTION complete_orders OWNER TO oms_door;
ALTER FUNCTION fail_orders OWNER TO oms_door;
ALTER FUNCTION postpone_jobs OWNER TO oms_door;
