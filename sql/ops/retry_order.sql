-- Returns the present state of an order and its jobs. Each action on an order records the states before and after it.
CREATE OR REPLACE FUNCTION ops._order_state(order_id uuid) RETURNS jsonb LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
  SELECT jsonb_build_object(
    'order', (
      SELECT jsonb_build_object('status', o.status, 'version', o.version)
      FROM public.orders AS o WHERE o.id = _order_state.order_id
    ),
    'job', (
      SELECT jsonb_build_object('state', j.state, 'retry_count', j.retry_count, 'retry_limit', j.retry_limit,
        'start_after', j.start_after, 'error', ops._error_of(j.output))
      FROM pgboss.job AS j WHERE j.name = 'process-order' AND j.id = _order_state.order_id
    ),
    'dead_letters', (
      SELECT coalesce(jsonb_agg(jsonb_build_object('job_id', d.id, 'state', d.state) ORDER BY d.created_on), '[]')
      FROM pgboss.job AS d WHERE d.name = 'fail-order' AND d.source_root_id = _order_state.order_id
    )
  )
$$;

COMMENT ON FUNCTION ops._order_state IS 'An order and its jobs as JSON, for operator_actions. Internal to schema ops.';

-- Locks an order and then its job, as settle_orders does. Never waits. Refuses an unknown order (OM005), and an order
-- that is locked, or whose job is locked, by another session (OM007). All columns of the job are NULL when it is
-- missing.
CREATE OR REPLACE FUNCTION ops._lock_order(order_id uuid, OUT placed public.orders, OUT job pgboss.job) LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  SELECT o.* INTO placed FROM public.orders AS o WHERE o.id = _lock_order.order_id FOR NO KEY UPDATE NOWAIT;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no order %', order_id USING ERRCODE = 'OM005';
  END IF;
  SELECT j.* INTO job FROM pgboss.job AS j
  WHERE j.name = 'process-order' AND j.id = _lock_order.order_id FOR UPDATE NOWAIT;
EXCEPTION WHEN lock_not_available THEN
  RAISE EXCEPTION 'order % or its job is locked by another transaction, most likely by a worker that processes it',
      order_id
    USING ERRCODE = 'OM007', HINT = 'Nothing was changed. Try again in a moment.';
END $$;

COMMENT ON FUNCTION ops._lock_order IS 'Locks an order and its job without waiting. Internal to schema ops.';

-- Cancels the open dead letters of an order. Otherwise they could set the order FAILED after it was put back. Refuses
-- when a worker has claimed or locked a dead letter (OM007).
CREATE OR REPLACE FUNCTION ops._cancel_dead_letters(order_id uuid) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  letter record;
BEGIN
  FOR letter IN
    SELECT d.id, d.state FROM pgboss.job AS d
    WHERE d.name = 'fail-order' AND d.source_root_id = _cancel_dead_letters.order_id
      AND d.state NOT IN ('completed', 'cancelled')
    FOR UPDATE NOWAIT
  LOOP
    IF letter.state = 'active' THEN
      RAISE EXCEPTION 'a worker is about to set order % FAILED (job %)', order_id, letter.id
        USING ERRCODE = 'OM007', HINT = 'Nothing was changed. Try again in a moment.';
    END IF;
    UPDATE pgboss.job AS d SET state = 'cancelled', completed_on = pgboss.job_now()
    WHERE d.name = 'fail-order' AND d.id = letter.id;
  END LOOP;
EXCEPTION WHEN lock_not_available THEN
  RAISE EXCEPTION 'a dead letter of order % is locked by another transaction', order_id
    USING ERRCODE = 'OM007', HINT = 'Nothing was changed. Try again in a moment.';
END $$;

COMMENT ON FUNCTION ops._cancel_dead_letters IS 'Cancels the open dead letters of an order. Internal to schema ops.';

-- Refuses to put back an order that is COMPLETED or CANCELLED (OM006), an order that a living worker processes (OM007),
-- and a PENDING order whose job is due already (OM006).
CREATE OR REPLACE FUNCTION ops._refuse_to_put_back(placed public.orders, job pgboss.job) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  worker record; -- all NULL when no worker has reported the job
BEGIN
  IF placed.status IN ('COMPLETED', 'CANCELLED') THEN
    RAISE EXCEPTION 'order % is %: that is final', placed.id, placed.status USING ERRCODE = 'OM006';
  END IF;

  IF job.state = 'active' THEN
    SELECT r.host, r.pid, r.alive INTO worker
    FROM ops._running_jobs AS r
    WHERE r.queue = 'process-order' AND r.job_id = job.id AND r.attempt = job.retry_count + 1;
    -- When no worker has reported the job, the job's own times decide whether its worker is alive. A missing time is
    -- ignored. An infinite time means that the worker is dead.
    IF coalesce(worker.alive, isfinite(job.heartbeat_on)
      AND job.heartbeat_on + job.heartbeat_seconds * interval '1 second' > now(), isfinite(job.started_on)
      AND job.started_on + job.expire_seconds * interval '1 second' > now(), false) THEN
      RAISE EXCEPTION 'a living worker% is running job %',
          CASE WHEN worker.host IS NULL THEN '' ELSE format(' (%s:%s)', worker.host, worker.pid) END, job.id
        USING ERRCODE = 'OM007', HINT = 'Nothing was changed. SELECT ops.explain_job(job_id) shows when it started.';
    END IF;
  END IF;

  IF placed.status = 'PENDING' AND job.state < 'active' AND job.start_after <= now() THEN
    RAISE EXCEPTION 'order % is PENDING and its job is due already', placed.id
      USING ERRCODE = 'OM006', HINT = 'SELECT ops.explain_job(order_id) shows why it is not running.';
  END IF;
END $$;

COMMENT ON FUNCTION ops._refuse_to_put_back IS
  'Refuses to put back an order that is completed, cancelled, processed by a worker or due. Internal to schema ops.';

-- Puts an order back to PENDING with a job that is due now. ops.retry_order and ops.redrive share this function.
--
-- The job keeps its row, and with it the number of attempts: the next claim gets the next number. A job that is missing
-- is made again, and its data names the transaction that made it (job_xact_id). So a worker that still runs an old
-- attempt cannot commit it (sql/functions/settle_orders.sql). The job gets all the retries of its queue again. The
-- back-off between them is long from the start, because it grows with the number of attempts.
CREATE OR REPLACE FUNCTION ops._put_back(order_id uuid, action text, reason text) RETURNS text LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  locked  record;
  placed  public.orders;
  job     pgboss.job;
  earlier jsonb;
  made    integer; -- the number of attempts so far
BEGIN
  -- Lock the order and its job, and check that it can be put back.
  PERFORM ops._require_reason(reason);
  SELECT l.* INTO locked FROM ops._lock_order(_put_back.order_id) AS l;
  placed := locked.placed;
  job := locked.job;
  PERFORM ops._refuse_to_put_back(placed, job);
  earlier := ops._order_state(_put_back.order_id);

  -- Give the order one job that is due now: make it again when it is missing, else restart it.
  PERFORM ops._cancel_dead_letters(_put_back.order_id);
  IF job.id IS NULL THEN
    SELECT coalesce(max(e.attempt), 0) INTO made
    FROM public.order_events AS e WHERE e.order_id = placed.id AND e.job_id = placed.id;
    INSERT INTO public.order_jobs (
      id, name, data, start_after, created_on, expire_seconds, deletion_seconds, keep_until, retry_count, retry_limit,
      retry_delay, retry_backoff, retry_delay_max, policy, dead_letter, heartbeat_seconds
    )
    SELECT placed.id, q.name, jsonb_build_object('order_id', placed.id, 'xact_id', placed.xact_id::text,
        'job_xact_id', pg_current_xact_id()::text), now(), now(), q.expire_seconds, q.deletion_seconds,
      now() + q.retention_seconds * interval '1 second', made, made + q.retry_limit, q.retry_delay, q.retry_backoff,
      q.retry_delay_max, q.policy, q.dead_letter, q.heartbeat_seconds
    FROM pgboss.queue AS q
    WHERE q.name = 'process-order';
  ELSE
    made := job.retry_count + (job.started_on IS NOT NULL)::integer;
    UPDATE public.order_jobs AS j
    SET state = 'retry', retry_limit = made + q.retry_limit, start_after = pgboss.job_now(),
      completed_on = NULL, heartbeat_on = NULL, expire_seconds = q.expire_seconds, dead_letter = q.dead_letter,
      keep_until = pgboss.job_now() + q.retention_seconds * interval '1 second'
    FROM pgboss.queue AS q
    WHERE j.name = 'process-order' AND j.id = placed.id AND q.name = j.name;
  END IF;

  -- Put the order back.
  UPDATE public.orders AS o
  SET status = 'PENDING', changed_by = 'role:' || session_user, change_reason = _put_back.reason, change_job_id = NULL,
    change_attempt = NULL
  WHERE o.id = placed.id AND o.status <> 'PENDING';

  -- Record the action.
  INSERT INTO public.operator_actions (action, order_id, queue, reason, before, after)
  VALUES (_put_back.action, placed.id, 'process-order', _put_back.reason, earlier, ops._order_state(placed.id));
  RETURN format('order %s was %s, is PENDING; attempt %s can start now', placed.id, placed.status, made + 1);
END $$;

COMMENT ON FUNCTION ops._put_back IS 'Puts an order back with a job that is due now. Internal to schema ops.';

-- Tries an order again now: FAILED or PROCESSING → PENDING, with a job that is due and has all its retries.
--   psql: SELECT ops.retry_order('…', 'ticket 4711: warehouse API is back');
-- A PENDING order whose job has failed, waits for its back-off or is missing gets its job in the same way. Refuses an
-- order that is COMPLETED or CANCELLED (OM006), and one that a living worker processes (OM007).
CREATE OR REPLACE FUNCTION ops.retry_order(order_id uuid, reason text) RETURNS text LANGUAGE sql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT ops._put_back(retry_order.order_id, 'retry_order', retry_order.reason)
$$;

COMMENT ON FUNCTION ops.retry_order IS
  'Tries a FAILED or hung order again now. Refuses: OM005 unknown, OM006 completed, cancelled or due already, '
  'OM007 claimed or locked, OM008 no reason.';

ALTER FUNCTION ops.retry_order OWNER TO oms_door;
