-- One person at a time pauses or resumes a queue: unknown is OM005, another at it OM007. An advisory lock, as
-- the row of the queue itself is written by pg-boss every other second.
CREATE OR REPLACE FUNCTION ops._lock_queue(queue text) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM pgboss.queue AS q WHERE q.name = _lock_queue.queue AND q.name NOT LIKE '\_\_pgboss\_\_%'
  ) THEN
    RAISE EXCEPTION 'there is no queue %', queue
      USING ERRCODE = 'OM005', HINT = 'SELECT queue FROM ops.queues lists them.';
  END IF;
  IF NOT pg_try_advisory_xact_lock(hashtext('ops.queue'), hashtext(_lock_queue.queue)) THEN
    RAISE EXCEPTION 'somebody else is pausing or resuming queue % in another transaction', queue
      USING ERRCODE = 'OM007', HINT = 'Nothing was changed. TABLE ops.paused_queues in a moment.';
  END IF;
END $$;

COMMENT ON FUNCTION ops._lock_queue IS 'Lets one transaction at a time pause or resume a queue. Internal to schema ops.';
