-- Ends a pause: workers take jobs from the queue again within 2 s.
--   psql: SELECT ops.resume_queue('process-order', 'ticket 4713: done');
CREATE OR REPLACE FUNCTION ops.resume_queue(queue text, reason text DEFAULT 'no reason given') RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  paused public.paused_queues;
BEGIN
  PERFORM ops._require_reason(resume_queue.reason);
  PERFORM ops._lock_queue(resume_queue.queue);
  DELETE FROM public.paused_queues AS p WHERE p.queue = resume_queue.queue RETURNING p.* INTO paused;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'queue % is not paused', resume_queue.queue USING ERRCODE = 'OM006';
  END IF;

  INSERT INTO public.operator_actions (action, queue, reason, before, after)
  VALUES ('resume_queue', paused.queue, resume_queue.reason, jsonb_build_object(
    'paused', true, 'by', ops._printable(paused.paused_by), 'since', paused.paused_at,
    'reason', ops._printable(paused.reason)
  ), '{"paused": false}');
  RETURN format('queue %s is resumed; workers take its jobs within 2 s', paused.queue);
END $$;

COMMENT ON FUNCTION ops.resume_queue IS
  'Ends a pause. Refuses: OM005 unknown, OM006 not paused, OM007 locked, OM008 no reason.';

ALTER FUNCTION ops.resume_queue OWNER TO oms_door;
