-- Which worker has which job in hand, as the workers say themselves. For the other views of this schema.
--   psql: SELECT * FROM ops._holds WHERE job_id = '…';
-- A row counts only as long as its job is at the same attempt: what a dead worker left behind names
-- jobs that others have taken over.
CREATE OR REPLACE VIEW ops._holds AS
SELECT
  h.queue,
  held.job_id,
  held.attempt,
  h.worker_id,
  h.lane,
  h.since,
  i.host,
  i.pid,
  i.heartbeat_on,
  i.stopped_on,
  coalesce(ops._alive(i), false) AS alive
FROM public.worker_holds AS h
CROSS JOIN LATERAL unnest(h.job_ids, h.attempts) AS held (job_id, attempt)
LEFT JOIN pgboss.instance AS i ON i.id = h.worker_id;

COMMENT ON VIEW ops._holds IS 'worker_holds, one row per job, with the process. Internal to schema ops.';
