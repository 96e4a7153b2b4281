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
