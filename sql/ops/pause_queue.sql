-- Every action needs a reason of at most 1,000 characters (trail_reason): a missing, blank or longer one is refused
-- with OM008.
CREATE OR REPLACE FUNCTION ops._require_reason(reason text) RETURNS void LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF coalesce(btrim(reason, E' \t\n\v\f\r'), '') = '' THEN
    RAISE EXCEPTION 'a reason is required: it is what the next person on call will read'
      USING ERRCODE = 'OM008', HINT = 'For instance ''ticket 4711: warehouse API was down''.';
  END IF;
  IF length(reason) > 1000 THEN
    RAISE EXCEPTION 'a reason has at most 1000 characters, not %', length(reason)
      USING ERRCODE = 'OM008', HINT = 'Name the ticket that has the rest.';
  END IF;
END $$;

COMMENT ON FUNCTION ops._require_reason IS 'Refuses a reason that is blank or too long. Internal to schema ops.';

-- One person at a time pauses, resumes or redrives queues: unknown is OM005, another at it OM007. A lock on the table:
-- only those who may act can take one that is in the way. An advisory lock can be held by any login, and the row of the
-- queue itself is written by pg-boss every other second.
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
  RAISE EXCEPTION 'somebody else is pausing, resuming or redriving a queue in another transaction'
    USING ERRCODE = 'OM007', HINT = 'Nothing was changed. TABLE ops.paused_queues in a moment.';
END $$;

COMMENT ON FUNCTION ops._lock_queue IS 'Lets one transaction at a time pause, resume or redrive queues. Internal to schema ops.';

-- From now on no worker takes jobs from a queue, until ops.resume_queue. What is in hand is finished.
--   psql: SELECT ops.pause_queue('process-order', 'ticket 4713: warehouse moves its database');
-- Workers look every second, so that some may still take a job in that time. Orders go on being accepted.
CREATE OR REPLACE FUNCTION ops.pause_queue(queue text, reason text DEFAULT 'no reason given') RETURNS text LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  paused public.paused_queues;
BEGIN
  PERFORM ops._require_reason(pause_queue.reason);
  PERFORM ops._lock_queue(pause_queue.queue);
  SELECT p.* INTO paused FROM public.paused_queues AS p WHERE p.queue = pause_queue.queue;
  IF FOUND THEN
    RAISE EXCEPTION 'queue % is paused already, by % since %: %',
        paused.queue, paused.paused_by, date_trunc('second', paused.paused_at), paused.reason
      USING ERRCODE = 'OM006';
  END IF;

  INSERT INTO public.paused_queues (queue, reason) VALUES (pause_queue.queue, pause_queue.reason)
  RETURNING * INTO paused;
  INSERT INTO public.operator_actions (action, queue, reason, before, after)
  VALUES ('pause_queue', paused.queue, paused.reason, '{"paused": false}', '{"paused": true}');
  RETURN format('queue %s is paused; workers let go of it within 2 s', paused.queue);
END $$;

COMMENT ON FUNCTION ops.pause_queue IS
  'Keeps workers from taking jobs of a queue. Refuses: OM005 unknown, OM006 paused already, OM007 locked, OM008 no reason.';

ALTER FUNCTION ops.pause_queue OWNER TO oms_door;
