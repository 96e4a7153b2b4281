-- Puts an order back to PENDING with a job that is due now: what ops.retry_order and ops.redrive share.
--
-- The job keeps its row, and with it the count of attempts: the next claim gets the next number, so that a
-- worker that still has an old attempt in hand cannot commit it. It gets all the retries of its queue
-- anew; the back-off between them starts out long, as it grows with the attempts.
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
  earlier := ops._order_state(_put_back.order_id);
  PERFORM ops._refuse_to_put_back(placed, job);
  PERFORM ops._cancel_dead_letters(_put_back.order_id);

  IF job.id IS NULL THEN
    PERFORM public.enqueue_order(placed.id, placed.xact_id);
    SELECT coalesce(max(e.attempt), 0) INTO made
    FROM public.order_events AS e WHERE e.order_id = placed.id AND e.job_id = placed.id;
    UPDATE pgboss.job AS j SET retry_count = made, retry_limit = made + j.retry_limit
    WHERE j.name = 'process-order' AND j.id = placed.id;
  ELSE
    made := job.retry_count + (job.started_on IS NOT NULL)::integer;
    UPDATE pgboss.job AS j
    SET state = 'retry', retry_limit = made + q.retry_limit, start_after = pgboss.job_now(),
      completed_on = NULL, heartbeat_on = NULL,
      keep_until = pgboss.job_now() + q.retention_seconds * interval '1 second'
    FROM pgboss.queue AS q
    WHERE j.name = 'process-order' AND j.id = placed.id AND q.name = j.name;
  END IF;

  PERFORM ops._act_as(_put_back.reason);
  UPDATE public.orders AS o SET status = 'PENDING' WHERE o.id = placed.id AND o.status <> 'PENDING';
  PERFORM ops._act_as();
  INSERT INTO public.operator_actions (action, order_id, queue, reason, before, after)
  VALUES (_put_back.action, placed.id, 'process-order', _put_back.reason, earlier, ops._order_state(placed.id));
  RETURN format('order %s was %s, is PENDING; attempt %s can start now', placed.id, placed.status, made + 1);
END $$;

COMMENT ON FUNCTION ops._put_back IS 'Puts an order back with a job that is due now. Internal to schema ops.';
