-- Refuses a reason that is missing, blank, or longer than 1,000 characters (trail_reason), with OM008. Pausing,
-- resuming, releasing and redriving have a default reason; every other action needs one.
CREATE OR REPLACE FUNCTION ops._require_reason(reason text) RETURNS void LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF coalesce(btrim(reason, E' \t\n\v\f\r'), '') = '' THEN
    RAISE EXCEPTION 'a reason is required: the next person on call will read it'
      USING ERRCODE = 'OM008', HINT = 'For example ''ticket 4711: warehouse API was down''.';
  END IF;
  IF length(reason) > 1000 THEN
    RAISE EXCEPTION 'a reason has at most 1000 characters, not %', length(reason)
      USING ERRCODE = 'OM008', HINT = 'Name the ticket that contains the rest.';
  END IF;
END $$;

COMMENT ON FUNCTION ops._require_reason IS 'Refuses a reason that is blank or too long. Internal to schema ops.';

-- Lets one transaction at a time pause, resume or redrive queues. Until it ends, refuses every other one (OM007). Also
-- refuses an unknown queue (OM005). The lock is on a table, because only the roles that may act can take a lock that
-- conflicts with it. Any login could take an advisory lock, and pg-boss writes the row of the queue itself every other
-- second.
CREATE OR REPLACE FUNCTION ops._lock_queue(queue text) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM pgboss.queue AS q WHERE q.name = _lock_queue.queue AND q.name NOT LIKE '\_\_pgboss\_\_%'
  ) THEN
    RAISE EXCEPTION 'there is no queue %', queue
      USING ERRCODE = 'OM005', HINT = 'SELECT queue FROM ops.queues lists them.';
  END IF;
  LOCK TABLE public.paused_queues IN SHARE ROW EXCLUSIVE MODE NOWAIT;
EXCEPTION WHEN lock_not_available THEN
  RAISE EXCEPTION 'another transaction is pausing, resuming or redriving a queue'
    USING ERRCODE = 'OM007',
      HINT = 'Nothing was changed. Try again in a moment; TABLE ops.paused_queues shows which queues are paused.';
END $$;

COMMENT ON FUNCTION ops._lock_queue IS
  'Lets one transaction at a time pause, resume or redrive queues. Internal to schema ops.';

-- Keeps workers from taking jobs of a queue, until ops.resume_queue. Workers finish the jobs that they have taken.
--   psql: SELECT ops.pause_queue('process-order', 'ticket 4713: warehouse moves its database');
-- A worker may still take jobs until its next check of the queues, within 2 s. The API still accepts orders.
CREATE OR REPLACE FUNCTION ops.pause_queue(queue text, reason text DEFAULT 'no reason given') RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  paused public.paused_queues;
BEGIN
  PERFORM ops._require_reason(pause_queue.reason);
  PERFORM ops._lock_queue(pause_queue.queue);
  SELECT p.* INTO paused FROM public.paused_queues AS p WHERE p.queue = pause_queue.queue;
  IF FOUND THEN
    RAISE EXCEPTION 'queue % was already paused by % at %: %',
        paused.queue, ops._printable(paused.paused_by), date_trunc('second', paused.paused_at),
        ops._printable(paused.reason)
      USING ERRCODE = 'OM006';
  END IF;

  INSERT INTO public.paused_queues (queue, reason) VALUES (pause_queue.queue, pause_queue.reason)
  RETURNING * INTO paused;
  INSERT INTO public.operator_actions (action, queue, reason, before, after)
  VALUES ('pause_queue', paused.queue, paused.reason, '{"paused": false}', '{"paused": true}');
  RETURN format('queue %s is paused; workers stop taking its jobs within 2 s', paused.queue);
END $$;

COMMENT ON FUNCTION ops.pause_queue IS
  'Keeps workers from taking jobs of a queue. Refuses: OM005 unknown, OM006 already paused, OM007 locked, '
  'OM008 no reason.';

ALTER FUNCTION ops.pause_queue OWNER TO oms_door;
