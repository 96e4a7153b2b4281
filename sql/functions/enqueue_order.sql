-- Gives an order its job, with the settings of the queue, as pg-boss 12.38 would.
CREATE OR REPLACE FUNCTION enqueue_order(order_id uuid, xact_id xid8) RETURNS void LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO pgboss.job (
    id, name, data, retry_limit, retry_delay, retry_backoff, retry_delay_max, expire_seconds,
    deletion_seconds, keep_until, policy, dead_letter, heartbeat_seconds
  )
  SELECT order_id, q.name, jsonb_strip_nulls(jsonb_build_object('order_id', order_id, 'xact_id', xact_id::text)),
    q.retry_limit, q.retry_delay, q.retry_backoff, q.retry_delay_max, q.expire_seconds,
    q.deletion_seconds, now() + q.retention_seconds * interval '1 second', q.policy, q.dead_letter,
    q.heartbeat_seconds
  FROM pgboss.queue AS q
  WHERE q.name = 'process-order';
END $$;
