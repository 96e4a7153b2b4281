-- The steps of an order, oldest first. The customer sees `reason_code` instead of `reason`.
--   psql: SELECT at, step, actor FROM ops.order_timeline WHERE order_id = '…';
CREATE OR REPLACE VIEW ops.order_timeline AS
SELECT
  e.order_id,
  e.version,
  e.at,
  concat_ws(' -> ', e.from_status, e.to_status) AS step,
  ops._printable(e.actor)  AS actor,
  ops._printable(e.reason) AS reason,
  public.reason_code(e)    AS reason_code,
  e.at - lag(e.at) OVER (PARTITION BY e.order_id ORDER BY e.version) AS after,
  e.job_id,
  e.attempt,
  e.xact_id
FROM public.order_events AS e
ORDER BY e.order_id, e.version;

COMMENT ON VIEW ops.order_timeline IS
  'order_events with the time since the event before. One row per event: use WHERE order_id or LIMIT.';
