-- The queues that are paused: no worker takes their jobs. Shows who paused each, when and why.
--   psql: TABLE ops.paused_queues;
CREATE OR REPLACE VIEW ops.paused_queues AS
SELECT p.queue, ops._printable(p.paused_by) AS paused_by, p.paused_at,
  date_trunc('second', now() - p.paused_at) AS paused_for, ops._printable(p.reason) AS reason
FROM public.paused_queues AS p
ORDER BY p.paused_at;

COMMENT ON VIEW ops.paused_queues IS 'Queues that are paused. Empty is normal; ops.resume_queue ends a pause.';
