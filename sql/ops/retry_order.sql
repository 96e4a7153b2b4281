-- What an operator's action on an order leaves on record: the order and its jobs, as they are now.
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

-- Locks an order and its job, in the same order as workers, and never waits. An unknown order is OM005; a lock of
-- another session is OM007. All columns of the job are NULL when it is missing.
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
  RAISE EXCEPTION 'order % or its job is locked by another transaction, most likely a worker that is at it', order_id
    USING ERRCODE = 'OM007', HINT = 'Nothing was changed. Try again in a moment.';
END $$;

COMMENT ON FUNCTION ops._lock_order IS 'Locks an order and its job without waiting. Internal to schema ops.';

-- Cancels the open dead letters of an order: one that is left would set the order FAILED after the new attempt. A dead
-- letter that a worker holds is OM007.
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

COMMENT ON FUNCTION ops._cancel_dead_letters IS 'Takes back the open dead letters of an order. Internal to schema ops.';

-- Which orders are not to be put back, and why.
CREATE OR REPLACE FUNCTION ops._refuse_to_put_back(placed public.orders, job pgboss.job) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  holder record;
BEGIN
  IF placed.status IN ('COMPLETED', 'CANCELLED') THEN
    RAISE EXCEPTION 'order % is %: that is final', placed.id, placed.status USING ERRCODE = 'OM006';
  END IF;

  IF job.state = 'active' THEN
    SELECT h.host, h.pid, h.alive INTO holder
    FROM ops._holds AS h
    WHERE h.queue = 'process-order' AND h.job_id = job.id AND h.attempt = job.retry_count + 1;
    -- A worker that has not said that it holds the job lives as long as the job's own times say. An infinite or a
    -- missing time says nothing.
    IF coalesce(holder.alive, isfinite(job.heartbeat_on)
      AND job.heartbeat_on + job.heartbeat_seconds * interval '1 second' > now(), isfinite(job.started_on)
      AND job.started_on + job.expire_seconds * interval '1 second' > now(), false) THEN
      RAISE EXCEPTION 'job % is in hand of a living worker%', job.id,
          CASE WHEN holder.host IS NULL THEN '' ELSE format(' (%s:%s)', holder.host, holder.pid) END
        USING ERRCODE = 'OM007', HINT = 'Nothing was changed. SELECT ops.explain_job(job_id) says since when.';
    END IF;
  END IF;

  IF placed.status = 'PENDING' AND job.state < 'active' AND job.start_after <= now() THEN
    RAISE EXCEPTION 'order % is PENDING and its job is due already', placed.id
      USING ERRCODE = 'OM006', HINT = 'SELECT ops.explain_job(order_id) says why it is not running.';
  END IF;
END $$;

COMMENT ON FUNCTION ops._refuse_to_put_back IS 'Refuses to put back an order that is over or in hand. Internal to schema ops.';

-- Puts an order back to PENDING with a job that is due now: what ops.retry_order and ops.redrive share.
--
-- The job keeps its row, and with it the count of attempts: the next claim gets the next number. A job that is gone is
-- made again, and names the transaction that has made it (job_xact_id). So a worker that still has an old attempt in
-- hand cannot commit it (sql/functions/settle_orders.sql). It gets all the retries of its queue anew; the back-off
-- between them starts out long, as it grows with the attempts.
CREATE OR REPLACE FUNCTION ops._put_back(order_id uuid, action text, reason text) RETURNS text LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  locked  record;
  placed  public.orders;
  job     pgboss.job;
  earlier jsonb;
  made    integer; -- attempts so far
BEGIN
  PERFORM ops._require_reason(reason);
  SELECT l.* INTO locked FROM ops._lock_order(_put_back.order_id) AS l;
  placed := locked.placed;
  job := locked.job;
  PERFORM ops._refuse_to_put_back(placed, job);
  earlier := ops._order_state(_put_back.order_id);
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

  UPDATE public.orders AS o
  SET status = 'PENDING', changed_by = 'role:' || session_user, change_reason = _put_back.reason, change_job_id = NULL,
    change_attempt = NULL
  WHERE o.id = placed.id AND o.status <> 'PENDING';
  INSERT INTO public.operator_actions (action, order_id, queue, reason, before, after)
  VALUES (_put_back.action, placed.id, 'process-order', _put_back.reason, earlier, ops._order_state(placed.id));
  RETURN format('order %s was %s, is PENDING; attempt %s can start now', placed.id, placed.status, made + 1);
END $$;

COMMENT ON FUNCTION ops._put_back IS 'Puts an order back with a job that is due now. Internal to schema ops.';

-- Tries an order again, now: FAILED or PROCESSING → PENDING, with a job that is due and all its retries.
--   psql: SELECT ops.retry_order('…', 'ticket 4711: warehouse API is back');
-- A PENDING order whose job has failed, waits for its back-off or is gone gets its job in the same way. Not:
-- an order that is over (OM006), or that a living worker has in hand (OM007).
CREATE OR REPLACE FUNCTION ops.retry_order(order_id uuid, reason text) RETURNS text LANGUAGE sql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT ops._put_back(retry_order.order_id, 'retry_order', retry_order.reason)
$$;

COMMENT ON FUNCTION ops.retry_order IS
  'Tries a FAILED or hung order again, now. Refuses: OM005 unknown, OM006 over or due already, OM007 in hand, OM008 no reason.';

ALTER FUNCTION ops.retry_order OWNER TO oms_door;
