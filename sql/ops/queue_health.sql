-- How each queue is doing, from the counters that pg-boss keeps.   psql: TABLE ops.queue_health;
CREATE VIEW ops.queue_health AS
SELECT
  q.name                              AS queue,
  q.ready_count                       AS ready,
  q.deferred_count                    AS deferred,
  q.active_count                      AS active,
  q.failed_count                      AS failed,
  coalesce(q.ready_oldest_seconds, 0) AS oldest_ready_seconds,
  q.monitor_on                        AS counted_at
FROM pgboss.queue AS q
WHERE q.name NOT LIKE '\_\_pgboss\_\_%'
ORDER BY q.name;

COMMENT ON VIEW ops.queue_health IS
  'Depth and age of every queue as of counted_at. Refreshed by the workers every few seconds.';
