-- The jobs of orders: queue process-order, in the table of its own that pg-boss has given it. pg-boss names that
-- table by a hash of the queue's name; this view is the one place that knows it.
-- There is one row per order, with the order's id as its id. `row_id` is where the row lies: good for as long as the
-- row is locked.
DO $$
DECLARE
  queue_table text := 'j' || encode(sha224('process-order'), 'hex');
BEGIN
  IF queue_table IS DISTINCT FROM (SELECT q.table_name FROM pgboss.queue AS q WHERE q.name = 'process-order') THEN
    RAISE EXCEPTION 'queue process-order is not in table pgboss.%', queue_table;
  END IF;
  EXECUTE format($view$
    CREATE OR REPLACE VIEW order_jobs AS
    SELECT ctid AS row_id, id, name, data, state, priority, blocked, start_after, retry_count, retry_limit, retry_delay,
      retry_backoff, retry_delay_max, expire_seconds, heartbeat_seconds, deletion_seconds, keep_until, policy,
      dead_letter, output, created_on, started_on, heartbeat_on, completed_on
    FROM pgboss.%I
    WHERE name = 'process-order'
  $view$, queue_table);
END $$;

COMMENT ON VIEW order_jobs IS 'The jobs of queue process-order: one per order, with the order''s id.';
